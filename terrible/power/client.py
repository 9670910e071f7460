"""The agent's side of `terrible-port`: asking it, and starting it where no unit does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from terrible import ownhelper
from terrible.errors import PowerError
from terrible.model import Location

ANSWER = 8.0
"""Seconds for an answer; the helper itself gives up on the kernel after 5."""


class PortHelper:
    """Reads and writes the `disable` attribute of a port; PowerError when the helper or the kernel refuses.

    Reading goes through the helper too: it takes the lock of the hub, behind any enumeration.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def disable(self, location: Location, value: bool) -> bool:
        """Disable or enable a port; what the kernel says of it afterwards."""
        return await self._ask({"v": 1, "op": "disable", "location": location, "value": int(value)})

    async def disabled(self, location: Location) -> bool:
        """Whether the kernel says that the port is without power."""
        return await self._ask({"v": 1, "op": "read", "location": location})

    async def _ask(self, request: dict[str, object]) -> bool:
        try:
            async with asyncio.timeout(ANSWER):
                line = await self._exchange(json.dumps(request).encode() + b"\n")
        except TimeoutError as error:
            raise PowerError(f"the helper at {self._socket} did not answer within {ANSWER:.0f} s") from error
        except (OSError, ValueError) as error:
            raise PowerError(f"no answer from the helper at {self._socket}: {error}") from error
        return _answer(line)

    async def _exchange(self, line: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self._socket)
        try:
            writer.write(line)
            return await reader.readline()
        finally:
            writer.close()


def _answer(line: bytes) -> bool:
    try:
        match json.loads(line or b"null"):
            case {"ok": True, "value": int(value)}:
                return bool(value)
            case {"ok": False, "error": str(error)}:
                raise PowerError(error)
    except ValueError:
        pass
    raise PowerError(f"the port helper answered {line[:80]!r}")


@asynccontextmanager
async def start_own(config: Path, socket: Path, sysfs: Path = Path("/sys")) -> AsyncIterator[PortHelper]:
    """Run a helper of our own, for an agent that runs as root without the units."""
    arguments = ["--config", str(config), "--sys", str(sysfs)]
    async with ownhelper.running("terrible.power.helper", socket, arguments):
        yield PortHelper(socket)
