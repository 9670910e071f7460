"""Speaking to `terrible-net`: the agent's and the command line's side of its socket."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE

from terrible.errors import HostError
from terrible.net import messages
from terrible.net.messages import NetRequest
from terrible.net.plan import RUN, Standing
from terrible.peers import Refused

log = logging.getLogger(__name__)

ANSWER = 30.0
"""Seconds for an answer: setting all of it up takes one or two, on a small head ten."""
START = 20.0
"""Seconds for a helper to listen; Python alone takes several on an ARMv6 head."""

RIVAL = 30
"""Tenths of a second for one that somebody else has started in the same moment."""
LOG = RUN / "log"
"""Of a helper that no unit started."""


class NetHelper:
    """A helper behind a socket. HostError where it does not answer, or refuses.

    With `config` one is started where nobody listens; that needs root.
    """

    def __init__(self, path: Path, config: Path | None = None) -> None:
        self._path, self._config = path, config
        self._own: subprocess.Popen[bytes] | None = None

    async def ensure(self) -> None:
        """Have somebody listen."""
        if self._config is None or await self.answers():
            return
        starting = asyncio.create_task(asyncio.to_thread(start, self._config, self._path, LOG))
        try:
            self._own = await asyncio.shield(starting)
        except HostError:
            if not await self._answers_soon():  # unless somebody else was starting one as well
                raise
        except asyncio.CancelledError:  # that stops no thread: the helper comes, and is ours to end
            with suppress(HostError):
                self._own = await starting
            raise

    async def _answers_soon(self) -> bool:
        for _ in range(RIVAL):
            if await self.answers():
                return True
            await asyncio.sleep(0.1)
        return False

    async def apply(self, preferred: str) -> str:
        """Have the network up, in the preferred subnet if that is free; the one it became."""
        await self.ensure()
        return (await self.ask(NetRequest("apply", prefer=preferred))).subnet

    async def end_own(self) -> None:
        """Take the network down if it was us who started the helper; what hinders that holds nobody up."""
        if self._own is None:
            return
        LOG.unlink(missing_ok=True)
        try:
            await self.ask(NetRequest("down"))
        except HostError as error:
            log.warning("%s; sudo terrible net down tries again", error)
            self._own.terminate()
        try:
            await asyncio.to_thread(self._own.wait, ANSWER)
        except subprocess.TimeoutExpired:
            log.warning("terrible-net, process %d, does not end", self._own.pid)

    async def ask(self, request: NetRequest) -> Standing:
        """Have something done; how the network stands afterwards."""
        try:
            async with asyncio.timeout(ANSWER):
                reader, writer = await asyncio.open_unix_connection(self._path)
                try:
                    writer.write(messages.ask(request))
                    if not (line := await reader.readline()):
                        raise HostError(f"terrible-net at {self._path} ended without an answer; see its log")
                    return messages.answer(line)
                finally:
                    writer.close()
        except Refused as error:
            raise HostError(str(error)) from None
        except TimeoutError:
            raise HostError(f"terrible-net at {self._path} did not answer within {ANSWER:g} s") from None
        except (OSError, ValueError) as error:
            raise HostError(f"no answer from terrible-net at {self._path}: {error}") from None

    async def watch(self) -> AsyncIterator[Standing]:
        """How the network stands, now and whenever that has changed, until the helper has gone."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._path)
            try:
                writer.write(messages.ask(NetRequest("watch")))
                while line := await reader.readline():
                    yield messages.answer(line)
            finally:
                writer.close()
        except (Refused, OSError, ValueError) as error:
            raise HostError(f"terrible-net at {self._path}: {error}") from None

    async def answers(self) -> bool:
        """Whether anybody listens there; one that was killed leaves a socket that nobody listens to."""
        try:
            _, writer = await asyncio.open_unix_connection(self._path)
        except OSError:
            return False
        writer.close()
        return True


def start(config: Path, path: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a helper that outlives us: it ends with `down`, and says to `log` what it has to say.

    Not asyncio's subprocess, which kills its children at the end of the loop. Blocks until the helper
    listens; HostError, with its own last words, if it does not.
    """
    argv = [sys.executable, "-m", "terrible", "net-helper", "--config", str(config.absolute())]
    log.parent.mkdir(mode=0o755, exist_ok=True)
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    try:
        process = subprocess.Popen(
            [*argv, "--socket", str(path)], stdin=DEVNULL, stdout=PIPE, stderr=said, start_new_session=True
        )
    finally:
        os.close(said)
    assert process.stdout is not None
    with process.stdout as out:
        if not select.select([out], [], [], START)[0]:
            process.kill()
            raise HostError(f"terrible-net did not listen within {START:g} s; see {log}")
        if not out.readline():
            lines = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise HostError(lines[-1].removeprefix("terrible: "))
    return process
