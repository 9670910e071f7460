"""The agent and a broker that show each other certificates, and what is said where one is wrong."""

from __future__ import annotations

import gc
import logging
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiomqtt import ProtocolVersion

from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.connection import Connection

from .agent import ALL_UP, WHOLE, agent, holds, tree
from .brokers import observing, run, running, until
from .examples import BASE
from .shipped import FILES, Guarded

# A failed TLS handshake leaves paho's socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
protocols = pytest.mark.parametrize(
    "protocol", [ProtocolVersion.V311, ProtocolVersion.V5], ids=["3.1.1", "5"]
)


@protocols
def test_an_agent_enters_by_its_certificate(protocol: ProtocolVersion, tmp_path: Path) -> None:
    async def test() -> None:
        broker = Guarded(tmp_path)
        async with running(broker), observing(broker.address("viewer")) as observer:
            async with agent(broker.tls("agent"), *ALL_UP) as told:
                told.broker._keeper._protocol = protocol  # as if found out
                await until(lambda: holds(observer, tree(*ALL_UP)) and len(observer.held) == WHOLE)
            await until(lambda: observer.status == "offline")

    run(test())


@protocols
def test_the_name_in_a_certificate_is_the_user(protocol: ProtocolVersion, tmp_path: Path) -> None:
    async def test() -> None:
        broker = Guarded(tmp_path)
        async with running(broker), observing(broker.address("viewer")) as observer:
            for user in ("viewer", "agent"):
                pretending = replace(broker.tls(user), username="agent", password="")
                connection = Connection(pretending, f"as {user}", protocol=protocol)
                await connection.open()
                await connection.publish(f"{BASE}/info", user, 1, True)
                await connection.publish(f"{BASE}/status", user, 1)
                await connection.close()
            await until(lambda: len(observer.on(f"{BASE}/status")) == 1)
            assert observer.on(f"{BASE}/info") == [b"agent"]

    run(test())


async def does_not_get_in(broker: Guarded, address: BrokerAddress) -> None:
    """Two tries of an agent."""
    async with running(broker), agent(address, *ALL_UP) as told:
        entrances = 0
        first = told.broker._keeper._first

        async def counted() -> ProtocolVersion:
            nonlocal entrances
            entrances += 1
            return await first()

        told.broker._keeper._first = counted  # type: ignore[method-assign]
        await until(lambda: entrances == 2)
        assert not told.task.done()


def only_warning(caplog: pytest.LogCaptureFixture) -> str:
    gc.collect()
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    return line


def foreign(address: BrokerAddress, pki: Path) -> BrokerAddress:
    cert, key = (str(pki / "other" / f"agent.{end}") for end in ("crt", "key"))
    return replace(address, cert_file=cert, key_file=key)


WRONG: dict[str, tuple[Callable[[BrokerAddress, Path], BrokerAddress], str]] = {
    "another authority": (
        lambda address, pki: replace(address, ca_file=str(pki / "other" / "terrible-ca.crt")),
        "certificate verify failed.*; it must show a certificate for that name, signed by one of ca_file",
    ),
    "another host": (
        lambda address, pki: replace(address, host="localhost"),
        "Hostname mismatch.*; it must show a certificate for that name, signed by one of ca_file",
    ),
    "no certificate": (
        lambda address, pki: replace(address, cert_file=None, key_file=None),
        r"it hung up before it answered; does it want a certificate \(cert_file\)\?",
    ),
    "a stranger's certificate": (
        foreign,
        r"it hung up before it answered; does it want another certificate \(cert_file\)\?",
    ),
    "no TLS": (
        lambda address, pki: replace(address, tls=False),
        r"it hung up before it answered; does it want TLS at that port\?",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_who_does_not_get_in_is_told_why_once(
    wrong: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Guarded(tmp_path)
    change, said = WRONG[wrong]
    _authority_of_its_own(broker.pki / "other")
    run(does_not_get_in(broker, change(broker.tls("agent"), broker.pki)))
    line = only_warning(caplog)
    assert re.fullmatch(rf"no broker at mqtts?://\S+: .*{said}; trying on", line), line


def test_a_wrong_password_is_told_once_and_never_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Guarded(tmp_path)
    run(does_not_get_in(broker, replace(broker.address("agent"), password="wrong secret")))
    line = only_warning(caplog)
    assert line.endswith(" does not let us in: Not authorized; are user and password right?; trying on"), line
    assert "wrong secret" not in caplog.text


def test_tls_where_there_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broker = Guarded(tmp_path)
    run(does_not_get_in(broker, replace(broker.tls("agent"), port=broker.port)))
    line = only_warning(caplog)
    assert line.endswith("; is there TLS at that port?; trying on")


def _authority_of_its_own(directory: Path) -> None:
    directory.mkdir()
    for arguments in (["ca"], ["client", "agent"]):
        command = [str(FILES / "certificates.sh"), *arguments]
        subprocess.run(command, cwd=directory, check=True, capture_output=True)
