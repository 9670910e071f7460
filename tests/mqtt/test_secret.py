"""The broker's password goes to the broker, and nowhere else."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from terrible.cli import settings
from terrible.configfile import load

from .brokers import observing, run, running, until
from .fleet import simulated
from .shipped import Guarded, password

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("right", [True, False], ids=["let in", "refused"])
def test_a_units_password_is_neither_published_nor_logged(
    right: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    word = password("agent") if right else "some wrong secret"
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "mqtt-password").write_text(f"{word}\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    seen: list[str] = []

    async def test() -> None:
        broker = Guarded(tmp_path)
        toml = tmp_path / "terrible.toml"
        toml.write_text(f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\nusername = "agent"\n')
        config = load(toml, {})
        address = settings.broker_address(config)
        async with running(broker), observing(broker.address("viewer")) as observer:
            async with simulated(tmp_path, "rack", address):
                if right:
                    await until(lambda: observer.held.get("terrible/rack/node/node2/status") == b"online", 20)
                    for verb in ("status", "transcript"):
                        asked = b'{"id":"1","slots":"all"}'.replace(b"1", verb.encode())
                        async with observing(broker.address("operator")) as operator:
                            await operator.client.publish(f"terrible/rack/request/{verb}", asked, 1)
                    await until(lambda: len(observer.on("terrible/rack/response/transcript")) == 1)
                else:
                    await until(lambda: "does not let us in" in caplog.text)
            seen.extend(f"{topic} {payload!r}" for topic, payload, *_ in observer.seen)
        seen.append(f"{config} {config!r} {address} {address!r}")

    run(test())
    assert bool(re.search("node2", "".join(seen))) is right
    assert not [line for line in (*seen, caplog.text) if word in line]


def test_the_unit_shows_how(tmp_path: Path) -> None:
    """Its line, once it is no comment, is one that systemd understands."""
    unit = (ROOT / "packaging" / "terrible.service").read_text()
    offered = re.findall(r"^#(LoadCredential=(mqtt-\w+):\S+)$", unit, re.MULTILINE)
    assert [name for _, name in offered] == ["mqtt-password", "mqtt-username"]
