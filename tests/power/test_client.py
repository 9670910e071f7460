"""The agent's side of the helper, against the real process and against servers that misbehave."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from terrible.errors import HostError, PowerError
from terrible.model import Location
from terrible.power import client
from terrible.power.client import PortHelper, start_own

from .process import Helper, stuck
from .tree import Tree

HERE = Location("1-1.2")


def test_disable_and_read(helper: Helper, tree: Tree) -> None:
    async def story() -> None:
        ports = PortHelper(helper.socket)
        assert await ports.disabled(HERE) is False
        assert await ports.disable(HERE, value=True) is True
        assert await ports.disabled(HERE) is True
        assert await ports.disable(HERE, value=False) is False

    with helper.running():
        asyncio.run(story())


def test_refusals_are_power_errors_in_the_helpers_words(helper: Helper, tree: Tree) -> None:
    async def story() -> None:
        with pytest.raises(PowerError, match=r"1-1\.4 is not the location of a slot"):
            await PortHelper(helper.socket).disable(Location("1-1.4"), value=True)
        with pytest.raises(PowerError, match="the kernel did not return from"):
            await PortHelper(helper.socket).disable(Location("1-1.1"), value=True)

    with helper.running(), stuck(tree.disable("1-1.1")):
        asyncio.run(story())


def test_no_helper(tmp_path: Path) -> None:
    with pytest.raises(PowerError, match="no answer from the helper at"):
        asyncio.run(PortHelper(tmp_path / "port.sock").disabled(HERE))


@asynccontextmanager
async def answering(line: bytes | None) -> AsyncIterator[PortHelper]:
    """A server that says `line` to everything, or nothing for ever."""

    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        if line is None:
            await reader.read()
        else:
            writer.write(line)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        served.set()

    with tempfile.TemporaryDirectory() as directory:
        socket = Path(directory, "port.sock")
        async with await asyncio.start_unix_server(serve, socket):
            yield PortHelper(socket)
            await served.wait()


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]\n", b'{"ok":true}\n', b'{"ok":false}\n', b"\xff\n", b"1" * 70_000]
)
def test_strange_answers(line: bytes) -> None:
    async def story() -> None:
        async with answering(line) as ports:
            with pytest.raises(PowerError):
                await ports.disabled(HERE)

    asyncio.run(story())


def test_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER", 0.1)

    async def story() -> None:
        async with answering(None) as ports:
            with pytest.raises(PowerError, match="did not answer within"):
                await ports.disabled(HERE)

    asyncio.run(story())


def test_its_own_helper(helper: Helper, tree: Tree) -> None:
    async def story() -> None:
        async with start_own(helper.config, helper.socket, tree.root) as ports:
            assert await ports.disable(HERE, value=True) is True
        with pytest.raises(PowerError):
            await ports.disabled(HERE)
        assert not helper.socket.exists()

    asyncio.run(story())


CTRL_C = """
import asyncio, os, signal, sys
from pathlib import Path
from terrible.model import Location
from terrible.power.client import start_own

async def story(config, socket, sysfs):
    async with start_own(config, socket, sysfs) as ports:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # not before: a child would inherit it
        os.killpg(0, signal.SIGINT)
        assert await ports.disable(Location("1-1.2"), value=True) is True

asyncio.run(story(*map(Path, sys.argv[1:])))
"""


def test_its_own_helper_does_not_hear_ctrl_c(helper: Helper, tree: Tree) -> None:
    """In a session of its own, for a terminal's Ctrl-C goes to everybody there."""
    command = [sys.executable, "-c", CTRL_C, str(helper.config), str(helper.socket), str(tree.root)]
    subprocess.run(command, check=True, timeout=30, start_new_session=True)
    assert tree.disable("1-1.2").read_text().strip() == "1"


def test_a_helper_that_cannot_listen(helper: Helper, tree: Tree) -> None:
    async def story() -> None:
        with pytest.raises(HostError, match="cannot listen on"):
            async with start_own(helper.config, Path("/proc/nowhere/port.sock"), tree.root):
                pytest.fail("it listens")

    asyncio.run(story())
