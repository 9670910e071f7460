"""`terrible hubs` in the guest, and what its answers are compared with."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import rich

from .conftest import Rig
from .remote import Result

HUBS = """
import json, sys
from pathlib import Path
from terrible.cli.hubs import Options, main
asked = json.loads(sys.argv[1])
config = asked.pop("config", None)
sys.exit(main(Options(config and Path(config), **asked)))
"""
"""As `terrible hubs` runs it; the guest has no typer."""
CONFIG = b'hub = "1-1"\nports = 4\nstate_directory = "/tmp/probes"\n[power]\nbackend = "%s"\n'
LIMIT = 200
"""Seconds for a command: two probes of up to 27 s, on an emulated processor that others may slow down."""


async def hubs(rig: Rig, *, user: str | None = None, check: bool = True, **asked: object) -> Result:
    command = ["python3", "-c", HUBS, json.dumps({"config": None, **asked})]
    return await rig.head.run(command, user=user, check=check, timeout=LIMIT)


async def as_json(rig: Rig, **asked: Any) -> dict[str, dict[str, Any]]:
    """Every hub by its name, its ports by their locations."""
    told = json.loads((await hubs(rig, as_json=True, **asked)).text)
    assert told["v"] == 1
    return {
        hub["name"]: {**hub, "ports": {port["location"]: port for port in hub["ports"]}}
        for hub in told["hubs"]
    }


async def configured(rig: Rig, backend: str = "auto") -> str:
    await rig.head.run(["rm", "-rf", "/tmp/probes"])
    await rig.head.put("/etc/hubs.toml", CONFIG % backend.encode())
    return "/etc/hubs.toml"


async def uhubctl(rig: Rig) -> dict[str, tuple[str, bool]]:
    """Ports of hub 1-1 to the ids of what is plugged in, and whether they have power."""
    lines = (await rig.head.run(["uhubctl", "-l", "1-1"])).text.splitlines()
    found = [re.match(r"  Port (\d): \w+ (power|off)(?:.*\[(\S+))?", line) for line in lines[1:]]
    return {f"1-1.{match[1]}": (match[3] or "", match[2] == "power") for match in found if match}


async def install_rich(rig: Rig) -> None:
    """The tables' library is pure Python; the guest's image is the agent's, which has none."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        source = Path(rich.__file__).parent
        archive.add(source, "rich", filter=lambda item: None if "__pycache__" in item.name else item)
    await rig.head.put("/tmp/rich.tar", packed.getvalue())
    await rig.head.run(["tar", "-x", "-f", "/tmp/rich.tar", "-C", "/usr/lib/python3/dist-packages"])
