"""QEMU's machine protocol (docs/interop/qmp-spec): JSON lines, one command at a time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any


class QmpError(Exception):
    """QEMU refused a command."""


class Qmp:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._busy = asyncio.Lock()

    @classmethod
    async def connect(cls, path: Path) -> Qmp:
        qmp = cls(*await asyncio.open_unix_connection(path))
        await qmp._reader.readline()  # the greeting
        await qmp.execute("qmp_capabilities")
        return qmp

    async def execute(self, command: str, **arguments: object) -> Any:
        """Argument names take underscores for QMP's dashes."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        async with self._busy:
            self._writer.write(json.dumps({"execute": command, "arguments": named}).encode() + b"\n")
            return await self._answer()

    async def monitor(self, line: str) -> str:
        """A command of the human monitor, for what QMP lacks."""
        return str(await self.execute("human-monitor-command", command_line=line))

    def close(self) -> None:
        self._writer.close()

    async def _answer(self) -> Any:
        while line := await self._reader.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise QmpError(answer["error"]["desc"])
            if "return" in answer:
                return answer["return"]
        raise QmpError("QEMU has gone")
