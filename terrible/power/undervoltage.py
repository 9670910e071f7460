"""Whether the head's own supply is too weak now, as far as the head can tell."""

from __future__ import annotations

from pathlib import Path

_FIRMWARE = Path("devices/platform/soc/soc:firmware/get_throttled")
"""Older kernels of Raspberry Pi only (drivers/firmware/raspberrypi.c); mainline has none."""
_NOW = 1 << 0
"""Bit 0: under-voltage now; bit 16: since the bit was cleared last (Raspberry Pi, vcgencmd get_throttled)."""
_REMEDY = "use a stronger supply or a shorter cable, or feed the nodes from a hub of their own"


def undervoltage(sysfs: Path) -> str:
    """One sentence with the remedy; empty where the supply is fine, or nobody can tell.

    Reads what drivers keep in memory; only `get_throttled` asks the firmware, in well under 1 ms.
    """
    chips = sorted(sysfs.glob("class/hwmon/hwmon*"))
    pi = [chip for chip in chips if _text(chip / "name") == "rpi_volt"]
    if pi:
        return _told_by_pi(_text(pi[0] / "in0_lcrit_alarm") == "1")
    for chip in chips:
        if alarm := next((alarm for alarm in sorted(chip.glob("in*_lcrit_alarm")) if _rings(alarm)), None):
            line = alarm.name.partition("_")[0]
            return f"the head's supply is too weak ({_text(chip / 'name')}, {line}): {_REMEDY}"
    return _told_by_pi(_throttled(sysfs))


def _told_by_pi(weak: bool) -> str:
    return f"the head's supply is too weak, below 4.63 V: {_REMEDY}" if weak else ""


def _rings(alarm: Path) -> bool:
    """An input is what comes from outside: where lines have labels, `vin` (Documentation/hwmon/pmbus.rst)."""
    label = _text(alarm.with_name(alarm.name.replace("lcrit_alarm", "label")))
    return (not label or label.startswith("vin")) and _text(alarm) == "1"


def _throttled(sysfs: Path) -> bool:
    try:
        return bool(int(_text(sysfs / _FIRMWARE), 16) & _NOW)
    except ValueError:
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""
