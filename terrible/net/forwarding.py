"""IPv4 forwarding, switched on for single interfaces. What an uplink had before is kept, and put back.

Documentation/networking/ip-sysctl.rst: `conf/<interface>/forwarding`. Writing `ip_forward`, as Docker does,
sets that of all interfaces: then somebody else wants it, and nothing is put back.
"""

from __future__ import annotations

import json
from pathlib import Path

from terrible.net.plan import RUN
from terrible.net.runfiles import write

SYSCTL = Path("/proc/sys/net/ipv4")
KEPT = RUN / "forwarding.json"


async def enable(bridge: str, uplink: str) -> None:
    """Forward between the bridge and the uplink, if that is there; OSError where the kernel refuses."""
    _of(bridge).write_text("1")
    if not uplink or not _of(uplink).exists() or _of(uplink).read_text().strip() == "1":
        return
    kept = _kept()
    kept.setdefault(
        uplink, _everywhere()
    )  # first remembered, then changed: a crash between them harms nobody
    write(KEPT, json.dumps(kept))
    _of(uplink).write_text("1")


async def restore(but: str = "") -> None:
    """Put back what the uplinks had, but that of `but`; what somebody else has set since stays as it is."""
    kept = _kept()
    for uplink, everywhere in kept.items():
        if uplink != but and _of(uplink).exists() and everywhere == _everywhere():
            _of(uplink).write_text("0")
    left = {uplink: everywhere for uplink, everywhere in kept.items() if uplink == but}
    if left:
        write(KEPT, json.dumps(left))
    else:
        KEPT.unlink(missing_ok=True)


def _kept() -> dict[str, str]:
    """What `ip_forward` said when an uplink's own forwarding was switched on, by the uplink."""
    try:
        return {str(uplink): str(value) for uplink, value in json.loads(KEPT.read_text()).items()}
    except (FileNotFoundError, ValueError, AttributeError):
        return {}


def _everywhere() -> str:
    return (SYSCTL / "ip_forward").read_text().strip()


def _of(interface: str) -> Path:
    return SYSCTL / "conf" / interface / "forwarding"
