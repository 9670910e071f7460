"""What no ordinary day brings: enormous messages, a clock that jumps, much in one piece of TLS."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiomqtt import ProtocolVersion

from terrible.model import Answer, Phase
from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.connection import Connection

from .agent import ALL_UP, WHOLE, agent
from .brokers import make, observing, run, running, until
from .examples import BASE, SLOTS, report
from .shipped import certificates

YEARS = 10 * 365.25 * 86400
LARGE = 3 * 1024 * 1024
SAY = """
import sys
import paho.mqtt.publish as publish
port, size, *topics = sys.argv[1:]
for topic in topics:
    publish.single(topic, b"x" * int(size), qos=1, hostname="127.0.0.1", port=int(port))
"""


def peak() -> int:
    """The most memory that this process has had, in bytes, since it was last forgotten."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def test_enormous_commands_are_refused_and_not_kept(tmp_path: Path) -> None:
    async def test() -> None:
        commands = ["request/boot", "remote/request/power", "node/node1/power/set"] * 3
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            await observer.client.unsubscribe("#")
            await observer.client.subscribe([(f"{BASE}/status", 1), (f"{BASE}/response/#", 1)])
            async with agent(broker.port, *ALL_UP) as told:
                await until(lambda: observer.status == "online")
                refused = told.broker._commands.refused
                forget_peak()
                before = peak()
                topics = [f"{BASE}/{command}" for command in commands]
                say = [sys.executable, "-c", SAY, str(broker.port), str(LARGE), *topics]
                saying = await asyncio.create_subprocess_exec(*say, stderr=subprocess.DEVNULL)
                await until(lambda: refused["oversized"] == len(commands), 10.0)
                assert peak() - before < 5e6
                assert await saying.wait() == 0
                assert told.asked == []
                await observer.client.publish(f"{BASE}/request/boot", b'{"id":"1","slots":"all"}', 1)
                await until(lambda: len(told.asked) == 1)
                answers = [json.loads(p) for p in observer.on(f"{BASE}/response/boot")]
                assert {answer["error"]["code"] for answer in answers} == {"bad_request"}
                assert observer.on(f"{BASE}/status") == [b"online"]

    run(test())


@pytest.mark.parametrize("jump", [YEARS, -YEARS], ids=["ahead", "back"])
def test_a_clock_that_jumps(jump: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with running(make("mosquitto", tmp_path)) as broker, observing(broker.port) as observer:
            async with agent(broker.port, *ALL_UP) as told:
                await until(lambda: len(observer.held) == WHOLE)
                real = time.time
                monkeypatch.setattr(time, "time", lambda: real() + jump)

                async def ask(number: str, expires: float, way: str = "request") -> None:
                    asked = {"id": number, "slots": "node1", "expires": expires}
                    await observer.client.publish(f"{BASE}/{way}/boot", json.dumps(asked).encode(), 1)

                await ask("now", time.time() + 30, "remote/request")
                await ask("just over", time.time() - 1)
                await ask("by the old clock", real() + 30, "remote/request")
                told.tell(report(SLOTS[0], Phase.LOST))
                await until(lambda: observer.held[f"{BASE}/node/node1/status"] == b"offline")
                await until(lambda: len(observer.on(f"{BASE}/response/boot")) == 2)
                assert [request.id for request in told.asked] == ["now"]
                answers = [json.loads(payload) for payload in observer.on(f"{BASE}/response/boot")]
                assert {a["id"]: a["error"]["code"] for a in answers} == {
                    "just over": "expired",
                    "by the old clock": "expired" if jump > 0 else "bad_request",
                }
                told.broker.answer(told.asked[0], Answer("done"))
                await until(lambda: len(observer.on(f"{BASE}/response/boot")) == 3)
                assert observer.on(f"{BASE}/status") == [b"online"]

    run(test())


def test_several_messages_in_one_piece_of_tls(tmp_path: Path) -> None:
    """What OpenSSL has read ahead makes no socket readable."""
    pki = certificates(tmp_path)
    publish = b"\x30\x04\x00\x01ax"  # QoS 0, topic a, payload x

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\x20\x02\x00\x00" + 5 * publish)
        await reader.read(100)
        writer.close()

    async def test() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki / "terrible-broker.crt", pki / "terrible-broker.key")
        async with await asyncio.start_server(say, "127.0.0.1", 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            address = BrokerAddress("127.0.0.1", port, tls=True, ca_file=str(pki / "terrible-ca.crt"))
            connection = Connection(address, "x", protocol=ProtocolVersion.V311)
            await connection.open()
            async with asyncio.timeout(3):
                for _ in range(5):
                    await anext(connection.messages)
            await connection.close()

    run(test())
