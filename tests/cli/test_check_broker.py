"""The broker is asked as the agent would ask, disturbs no agent, and its password stays a secret."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import aiomqtt
import pytest

from terrible.cli.health import broker
from terrible.cli.health.finding import Finding, Level
from terrible.cli.health.probe import Probe, ask
from terrible.config import Config
from tests.mqtt.brokers import Mosquitto, free_port, missing, observing, run, running

SECRET = "s3cret-w0rd"
ROOT = Path(__file__).parents[2]
LOOK = """
import sys
from terrible.cli.health import broker
from terrible.config import Config
for finding in broker.findings(Config(cluster="lab", mqtt={"host": "127.0.0.1", "port": int(sys.argv[1])})):
    print(finding.level)
"""


def configured(port: int, **mqtt: object) -> Config:
    return Config.model_validate({"cluster": "lab", "mqtt": {"host": "127.0.0.1", "port": port, **mqtt}})


def asked(config: Config) -> Finding:
    (found,) = ask(Probe(partial(broker.findings, config), broker.LIMIT, broker.late(config)))
    return found


@contextmanager
def mosquitto(directory: Path) -> Iterator[int]:
    """One that lets only `agent` in, with the SECRET; its port."""
    server = Mosquitto(directory)
    users = directory / "users"
    try:
        command = ["mosquitto_passwd", "-c", "-b", str(users), "agent", SECRET]
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        missing("mosquitto_passwd is not installed")
    users.chmod(0o644)
    directory.chmod(0o755)
    config = directory / "mosquitto.conf"
    config.write_text(f"listener {server.port} 127.0.0.1\npassword_file {users}\nuser root\n")
    asyncio.run(server.start())
    try:
        yield server.port
    finally:
        asyncio.run(server.kill())


def test_the_configured_user_gets_in(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    with mosquitto(tmp_path) as port:
        found = asked(configured(port, username="agent", password_file=tmp_path / "password"))
    assert found == Finding(Level.OK, "broker", f"mqtt://127.0.0.1:{port} lets agent in")


@pytest.mark.parametrize("word", [f"{SECRET}!", ""])
def test_a_wrong_password_is_a_warning_that_does_not_show_it(tmp_path: Path, word: str) -> None:
    (tmp_path / "password").write_text(f"{word}\n")
    with mosquitto(tmp_path) as port:
        found = asked(configured(port, username="agent", password_file=tmp_path / "password"))
    assert found.level is Level.WARNING
    assert found.said.startswith(f"mqtt://127.0.0.1:{port} does not let us in: ")
    assert found.remedy.startswith("correct mqtt.username and mqtt.password_file")
    assert SECRET not in f"{found}"


def test_nobody_there() -> None:
    port = free_port()
    found = asked(configured(port))
    assert found.level is Level.WARNING
    assert found.said.startswith(f"no broker at mqtt://127.0.0.1:{port}: ")


def test_a_password_written_into_the_host_is_not_shown() -> None:
    config = configured(free_port(), host=f"agent:{SECRET}@127.0.0.1")
    found = asked(config)
    assert found.level is Level.WARNING
    assert "mqtt://127.0.0.1:" in found.said
    assert SECRET not in f"{found} {broker.late(config)}"


def test_somebody_who_listens_and_says_nothing_is_given_three_seconds() -> None:
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = asked(configured(port))
    assert found.level is Level.WARNING
    assert f"mqtt://127.0.0.1:{port}" in found.said
    assert 2.5 < time.monotonic() - began < 6


def test_an_agent_stays_connected_and_nobody_hears_of_it(tmp_path: Path) -> None:
    async def story() -> None:
        server = Mosquitto(tmp_path)
        async with running(server), observing(server.port) as observer:
            async with aiomqtt.Client("127.0.0.1", server.port, identifier="terrible-lab") as agent:
                command = [sys.executable, "-c", LOOK, str(server.port)]
                look = await asyncio.create_subprocess_exec(
                    *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE
                )
                assert (await look.communicate())[0] == b"ok\n"
                await agent.publish("still/here", b"", qos=1)
                async with asyncio.timeout(10):
                    while not observer.seen:
                        await asyncio.sleep(0.01)
            assert [topic for topic, *_ in observer.seen] == ["still/here"]

    run(story())
