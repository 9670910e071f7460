"""What a head says of its own supply, from made sysfs trees."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrible.power.undervoltage import undervoltage


def chip(root: Path, number: int, name: str, **attributes: str) -> None:
    where = root / f"class/hwmon/hwmon{number}"
    where.mkdir(parents=True)
    for attribute, value in {"name": name, **attributes}.items():
        (where / attribute).write_text(f"{value}\n")


def firmware(root: Path, throttled: str) -> None:
    where = root / "devices/platform/soc/soc:firmware"
    where.mkdir(parents=True)
    (where / "get_throttled").write_text(throttled)


def test_a_head_that_cannot_tell(tmp_path: Path) -> None:
    assert undervoltage(tmp_path) == ""


@pytest.mark.parametrize(("alarm", "weak"), [("0", False), ("1", True), ("", False)])
def test_the_chip_of_a_pi(tmp_path: Path, alarm: str, weak: bool) -> None:
    chip(tmp_path, 0, "cpu_thermal", temp1_input="48000")
    chip(tmp_path, 1, "rpi_volt", in0_lcrit_alarm=alarm)
    told = undervoltage(tmp_path)
    assert bool(told) is weak
    if weak:
        assert told.startswith("the head's supply is too weak, below 4.63 V: use a stronger supply")
        assert "\n" not in told


def test_a_pi_believes_its_own_chip_first(tmp_path: Path) -> None:
    """Reading get_throttled makes newer kernels log a warning with a stack trace."""
    chip(tmp_path, 0, "a_hat", in1_lcrit_alarm="1")
    chip(tmp_path, 1, "rpi_volt", in0_lcrit_alarm="0")
    firmware(tmp_path, "1\n")
    assert undervoltage(tmp_path) == ""


@pytest.mark.parametrize(
    ("attributes", "weak"),
    [
        ({"in1_lcrit_alarm": "1"}, True),
        ({"in1_lcrit_alarm": "0"}, False),
        ({"in1_lcrit_alarm": "0", "in2_lcrit_alarm": "1"}, True),
        ({"in1_lcrit_alarm": "1", "in1_label": "vin"}, True),
        ({"in1_lcrit_alarm": "1", "in1_label": "vout1"}, False),
        ({"in1_crit_alarm": "1", "temp1_lcrit_alarm": "1"}, False),
    ],
)
def test_other_chips(tmp_path: Path, attributes: dict[str, str], weak: bool) -> None:
    chip(tmp_path, 3, "ltc2978", **attributes)
    assert undervoltage(tmp_path).startswith("the head's supply is too weak (ltc2978, in") is weak


@pytest.mark.parametrize(
    ("throttled", "weak"),
    [("0\n", False), ("1\n", True), ("50005\n", True), ("50000\n", False), ("", False), ("soon\n", False)],
)
def test_the_firmware_of_an_older_kernel(tmp_path: Path, throttled: str, weak: bool) -> None:
    firmware(tmp_path, throttled)
    assert bool(undervoltage(tmp_path)) is weak
