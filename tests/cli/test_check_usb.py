"""USB as files tell it: who may open what, where slots are, what the kernel allows, and udev's rule."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest

from terrible.cli.health import udev, usb
from terrible.cli.health.finding import Finding, Level
from terrible.cli.health.probe import Probe, ask
from terrible.config import Config
from terrible.model import Slot

from .checking import Head


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Head:
    return Head(tmp_path, monkeypatch, 1883)


def at(*locations: str) -> list[Slot]:
    slots = [{"name": f"node{n}", "location": where} for n, where in enumerate(locations, start=1)]
    return Config.model_validate({"slots": slots}).named_slots()


def found(what: str, *locations: str) -> list[Finding]:
    return [finding for finding in usb.findings(at(*locations)) if finding.what == what]


def plug_pi(head: Head, location: str, devnum: int) -> Path:
    """A Pi that wants boot files; its device node."""
    head.tree.plug(location, devnum)
    known = {"idVendor": "0a5c", "idProduct": "2763", "bDeviceClass": "ff", "busnum": "1"}
    for key, value in known.items():
        (head.tree.root / "bus/usb/devices" / location / key).write_text(f"{value}\n")
    return head.dev / f"001/{devnum:03d}"


def test_each_hub_with_its_ports_and_what_it_is(head: Head) -> None:
    plug_pi(head, "1-1.3", 9).touch()
    assert [one.said for one in found("hub")] == [
        "1-1: 4 ports, 1 in use, 1d6b:0002 Hub 1-1",
        "usb1: 2 ports, 1 in use, 1d6b:0002 Hub usb1",
        "usb2: 2 ports, 0 in use, 1d6b:0002 Hub usb2",
    ]


@pytest.mark.parametrize(
    ("size", "level"), [("16", Level.OK), ("0", Level.OK), ("1000", Level.OK), ("15", Level.WARNING)]
)
def test_sixteen_megabytes_are_enough(head: Head, size: str, level: Level) -> None:
    file = head.tree.root / "module/usbcore/parameters/usbfs_memory_mb"
    file.write_text(f"{size}\n")
    (only,) = found("memory")
    assert only.level is level
    assert only.remedy == (f"echo 16 | sudo tee {file}" if level is Level.WARNING else "")


def test_a_slot_where_no_hub_is(head: Head) -> None:
    (only,) = found("slot", "1-1.1", "1-1.2.1")
    assert only.level is Level.ERROR
    assert only.said == "node2 is at 1-1.2.1, but there is no hub 1-1.2"
    assert only.remedy.endswith("this machine has 1-1, usb1, usb2")


def test_a_slot_beyond_the_last_port(head: Head) -> None:
    (only,) = found("slot", "1-1.4", "1-1.5", "1-2")
    assert only.level is Level.ERROR
    assert only.said == "node2 is at 1-1.5, but hub 1-1 has 4 ports"


def test_device_nodes_that_are_not_there(head: Head) -> None:
    for node in head.dev.glob("*/*"):
        node.unlink()
    (only,) = found("rights")
    assert only.level is Level.ERROR
    assert only.said.startswith(f"there is no {head.dev}/001/003 (1-1), ")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_pi_that_may_not_be_opened_by_this_user(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as place:  # tmp_path is closed to other users
        Path(place).chmod(0o755)
        head = Head(Path(place), monkeypatch, 1883)
        for node in head.dev.glob("*/*"):
            node.chmod(0o666)
        node = plug_pi(head, "1-1.3", 9)
        node.touch(mode=0o644)

        def as_nobody() -> list[Finding]:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            return found("rights")

        (only,) = ask(Probe(as_nobody, 60, Finding(Level.ERROR, "rights", "late")))
        assert found("rights")[0].level is Level.OK, "root may open it"
    assert only.level is Level.ERROR
    assert only.said.endswith(f" may not open {node} (1-1.3)")
    assert "70-terrible.rules" in only.remedy


def test_devices_of_others_need_no_rights(head: Head) -> None:
    node = plug_pi(head, "1-1.3", 9)
    (head.tree.root / "bus/usb/devices/1-1.3/idVendor").write_text("046d\n")
    (only,) = found("rights")
    assert (only.level, node.exists()) == (Level.OK, False)


def test_a_device_that_leaves_while_it_is_read_is_left_out(head: Head) -> None:
    plug_pi(head, "1-1.3", 9).touch()
    (head.tree.root / "bus/usb/devices/1-1.3/devnum").unlink()
    assert [device.name for device in usb.listed()] == ["1-1", "usb1", "usb2"]


def test_the_rule_as_it_is_shipped(head: Head) -> None:
    assert list(udev.findings()) == [
        Finding(Level.OK, "udev", f"{head.rules}/70-terrible.rules is the one of this version")
    ]


def test_a_rule_that_was_changed(head: Head) -> None:
    rule = head.rules / udev.RULE
    rule.write_text(rule.read_text().replace("0660", "0600"))
    (only,) = udev.findings()
    assert (only.level, only.said) == (Level.WARNING, f"{rule} is not the one of this version")
    source = re.match(rf"sudo cp (\S+) {head.rules}/ && sudo udevadm control --reload", only.remedy)
    assert source is not None
    assert Path(source[1]).is_file()


def test_no_rule(head: Head) -> None:
    (head.rules / udev.RULE).unlink()
    (only,) = udev.findings()
    assert only.level is Level.WARNING
    assert only.remedy.startswith("sudo cp ")


def test_the_rule_that_udev_reads_first_is_compared(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    first = head.top / "first"
    first.mkdir()
    (first / udev.RULE).write_text("# nothing\n")
    monkeypatch.setattr(udev, "DIRECTORIES", (first, head.rules))
    (only,) = udev.findings()
    assert only.said == f"{first}/{udev.RULE} is not the one of this version"


def test_nothing_to_compare_with(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udev, "SHIPPED", ())
    (only,) = udev.findings()
    assert only.level is Level.NOTE
