"""Hub power, read from QEMU's trace: usbredir itself carries no such signal."""

from __future__ import annotations

import re

EVENTS = ("usb_hub_set_port_feature", "usb_hub_clear_port_feature")

# A timestamp may come before it, if QEMU was built or told so; hence no match at the margin.
_POWER = re.compile(r"usb_hub_(set|clear)_port_feature dev \d+, port (\d+), feature power\b")


def power_change(line: str) -> tuple[int, bool] | None:
    """`(port, on)` where a trace line tells of one. Guests set power again that is on already."""
    found = _POWER.search(line)
    return (int(found[2]), found[1] == "set") if found else None
