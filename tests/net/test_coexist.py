"""Others are told to leave the network alone: exactly what is ours, and without a trace afterwards."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from terrible.errors import HostError
from terrible.model import Location, Slot
from terrible.net import coexist
from terrible.net.coexist import MARKER, files, install, uninstall
from tests.net.namespaces import missing, which

SLOTS = [Slot(f"node{n}", n, Location(f"1-1.{n}"), "", "") for n in (1, 2)]
UDEV, NM, NETWORKD, GADGETS = coexist.FILES


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty machine whose programs are told nothing but write down what they are told."""
    monkeypatch.setattr(coexist, "ROOT", tmp_path / "root")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}")
    (tmp_path / "bin").mkdir()
    for name in ("udevadm", "nmcli", "networkctl", "systemctl"):
        program(tmp_path, name)
    return tmp_path / "root"


def program(machine: Path, name: str, code: int = 0) -> None:
    path = machine / "bin" / name
    path.write_text(f'#!/bin/sh\necho {name} "$@" >>{machine}/told\nexit {code}\n')
    path.chmod(0o755)


def told(machine: Path) -> list[str]:
    return (machine / "told").read_text().splitlines()


def tree(root: Path) -> dict[Path, str]:
    return {
        Path("/") / path.relative_to(root): path.read_text() for path in root.rglob("*") if path.is_file()
    }


# -- what is written -----------------------------------------------------------------------------------------


def test_a_network_is_told_by_its_bridge_and_its_locations() -> None:
    written = files("terrible0", SLOTS)
    assert set(written) == set(coexist.FILES)
    assert "match-device=interface-name:terrible0\nmanaged=0\n" in written[NM]
    assert "Name=terrible0\n\n[Link]\nUnmanaged=yes\n" in written[NETWORKD]
    assert "Property=TERRIBLE_SLOT=?*\n\n[Link]\nUnmanaged=yes\n" in written[GADGETS]
    for slot in SLOTS:
        assert f'KERNELS=="{slot.location}:*"' in written[UDEV]
    assert not re.search("DRIVER|idVendor|usb[0-9]", written[UDEV]), "never by driver, make or name"


@pytest.mark.parametrize("name", ["", "br 0", "br0;managed=1", 'br"0', "br*", "br\n0", "b" * 16])
def test_a_name_that_would_mean_something_else_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="can be called"):
        files(name, SLOTS)
    with pytest.raises(ValueError, match="can be called"):
        files("terrible0", [Slot('x", RUN+="/bin/sh', 1, Location("1-1"), "", "")])


def test_udev_marks_what_sits_in_a_slot_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    rules = tmp_path / "71-terrible-net.rules"
    rules.write_text(files("terrible0", SLOTS)[UDEV])
    devices = usb(tmp_path / "sys")
    marks = {name: udev(tmp_path, rules, path) for name, path in devices.items()}
    slot2 = {"NM_UNMANAGED": "1", "TERRIBLE_SLOT": "node2"}
    ignored = {"ID_MM_DEVICE_IGNORE": "1"}
    assert {name: mark for name, mark in marks.items() if mark} == {
        "1-1.1": ignored, "1-1.1/net": {**slot2, "TERRIBLE_SLOT": "node1"}, "1-1.1/tty": ignored,
        "1-1.2": ignored, "1-1.2/net": slot2, "1-1.2/tty": ignored,
    }  # fmt: skip
    assert set(marks) > {"1-1.2.3", "1-1.2.3/net", "1-1.2.3/tty", "1-1.22", "1-1.22/net", "1-1.3/net"}


# -- installing and uninstalling -----------------------------------------------------------------------------


def test_what_is_installed_is_there_once_and_then_gone(root: Path) -> None:
    assert install("terrible0", SLOTS) == [f"written: {root}{path}" for path in coexist.FILES]
    assert tree(root) == files("terrible0", SLOTS)
    before = {path: (root / path.relative_to("/")).stat() for path in coexist.FILES}
    assert install("terrible0", SLOTS) == [f"unchanged: {root}{path}" for path in coexist.FILES]
    assert {path: (root / path.relative_to("/")).stat() for path in coexist.FILES} == before
    assert uninstall() == [f"removed: {root}{path}" for path in coexist.FILES]
    assert tree(root) == {}
    assert uninstall() == [f"not there: {root}{path}" for path in coexist.FILES]


def test_everybody_may_read_them(root: Path) -> None:
    install("terrible0", SLOTS)
    assert {path.stat().st_mode & 0o777 for path in root.rglob("*") if path.is_file()} == {0o644}


def test_another_slot_changes_the_rules_alone(root: Path) -> None:
    install("terrible0", SLOTS[:1])
    lines = install("terrible0", SLOTS)
    assert lines[0] == f"written: {root}{UDEV}"
    assert all(line.startswith("unchanged") for line in lines[1:])


def test_what_does_not_fit_the_configuration_by_now_is_named(root: Path) -> None:
    assert coexist.outdated("terrible0", SLOTS) == [], "nothing is installed"
    install("terrible0", SLOTS)
    assert coexist.outdated("terrible0", SLOTS) == []
    moved = [replace(slot, location=Location(slot.location.replace("1-", "3-"))) for slot in SLOTS]
    assert coexist.outdated("terrible0", moved) == [UDEV], "the bus has another number"
    assert coexist.outdated("br7", SLOTS) == [NM, NETWORKD]
    (root / GADGETS.relative_to("/")).unlink()
    assert coexist.outdated("terrible0", SLOTS) == [GADGETS]


@pytest.mark.parametrize("foreign", coexist.FILES)
def test_a_file_of_somebody_else_is_refused_and_nothing_is_done(root: Path, foreign: Path) -> None:
    install("terrible0", SLOTS[:1])
    (root / foreign.relative_to("/")).write_text(f"{MARKER} I wrote this myself\n")
    before = tree(root)
    with pytest.raises(HostError, match=f"{foreign.name} is not ours; move it away"):
        install("terrible0", SLOTS)
    with pytest.raises(HostError, match=f"{foreign.name} is not ours; move it away"):
        uninstall()
    assert tree(root) == before


@pytest.mark.parametrize("target", ["/dev/null", "ours"])
def test_a_link_is_somebody_elses(root: Path, target: str) -> None:
    # One to /dev/null masks the file (systemd.network(5)).
    path = root / NETWORKD.relative_to("/")
    path.parent.mkdir(parents=True)
    path.with_name("ours").write_text(files("terrible0", [])[NETWORKD])
    path.symlink_to(target)
    with pytest.raises(HostError, match="is not ours"):
        install("terrible0", SLOTS)
    assert path.is_symlink()
    assert {found.name for found in root.rglob("*") if found.is_file()} <= {"ours", path.name}


def test_what_cannot_be_written_leaves_nothing_behind(root: Path) -> None:
    (root / "etc").mkdir(parents=True)
    (root / "etc/systemd").write_text("a file where a directory belongs")
    with pytest.raises(HostError, match=r"05-terrible\.network cannot be written: Not a directory$"):
        install("terrible0", SLOTS)
    assert set(tree(root)) == {Path("/etc/systemd")}


def test_those_that_run_are_told(tmp_path: Path) -> None:
    install("terrible0", SLOTS)
    everybody = [
        "udevadm control --reload",
        "nmcli general reload conf",
        "systemctl --quiet is-active systemd-networkd",
        "networkctl reload",
    ]
    assert told(tmp_path) == everybody
    uninstall()
    assert told(tmp_path) == 2 * everybody


def test_a_networkd_that_does_not_run_is_not_started(tmp_path: Path) -> None:
    program(tmp_path, "systemctl", code=3)
    install("terrible0", SLOTS)
    assert "networkctl reload" not in told(tmp_path)


def test_who_is_missing_or_fails_keeps_nobody_else_from_it(tmp_path: Path) -> None:
    (tmp_path / "bin/udevadm").unlink()
    program(tmp_path, "nmcli", code=8)
    assert len(install("terrible0", SLOTS)) == len(coexist.FILES)
    assert told(tmp_path)[-1] == "networkctl reload"


# -- a USB bus as sysfs shows it -----------------------------------------------------------------------------


def usb(sys: Path) -> dict[str, Path]:
    """Network gadgets with a console at five ports, one of them behind a hub at another, and their paths."""
    controller = Path("devices/platform/soc/20980000.usb/usb1")
    ports = {
        "1-1.1": "1-1/1-1.1", "1-1.2": "1-1/1-1.2", "1-1.2.3": "1-1/1-1.2/1-1.2.3",
        "1-1.22": "1-1/1-1.22", "1-1.3": "1-1/1-1.3",
    }  # fmt: skip
    found = {}
    for hub in (controller, controller / "1-1"):
        device(sys, hub, "bus/usb", DEVTYPE="usb_device")
    for number, (port, below) in enumerate(ports.items(), 1):
        path = controller / below
        device(
            sys,
            path,
            "bus/usb",
            DEVTYPE="usb_device",
            PRODUCT="525/a4a2/505",
            BUSNUM="001",
            DEVNUM=f"{number:03}",
        )
        device(sys, path / f"{port}:1.0", "bus/usb", DEVTYPE="usb_interface", DRIVER="rndis_host")
        device(
            sys,
            path / f"{port}:1.0/net/usb{number}",
            "class/net",
            INTERFACE=f"usb{number}",
            IFINDEX=f"9{number}",
        )
        device(sys, path / f"{port}:1.2", "bus/usb", DEVTYPE="usb_interface", DRIVER="cdc_acm")
        device(sys, path / f"{port}:1.2/tty/ttyACM{number}", "class/tty", DEVNAME=f"ttyACM{number}")
        found[port] = path
        found[f"{port}/net"] = path / f"{port}:1.0/net/usb{number}"
        found[f"{port}/tty"] = path / f"{port}:1.2/tty/ttyACM{number}"
    return found


def device(sys: Path, path: Path, subsystem: str, **properties: str) -> None:
    (sys / path).mkdir(parents=True)
    (sys / subsystem).mkdir(parents=True, exist_ok=True)
    (sys / path / "subsystem").symlink_to(f"/sys/{subsystem}")
    (sys / path / "uevent").write_text("".join(f"{key}={value}\n" for key, value in properties.items()))


def udev(directory: Path, rules: Path, path: Path) -> dict[str, str]:
    """Which of our marks the machine's own udev gives to a device when it appears."""
    udevadm = which("udevadm")
    if os.geteuid() != 0:
        missing("only root mounts")
    script = (
        f"mount --bind {directory}/sys /sys && mount -t tmpfs tmpfs /run && mkdir -p /run/udev/rules.d &&"
        f" cp {rules} /run/udev/rules.d/ && exec {udevadm} test --action=add /sys/{path}"
    )
    done = subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-c", script],
        env={**os.environ, "SYSTEMD_DEVICE_VERIFY_SYSFS": "0"},  # systemd's docs/ENVIRONMENT.md
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    marks = "NM_UNMANAGED|TERRIBLE_SLOT|ID_MM_DEVICE_IGNORE"
    return dict(re.findall(rf"^\s*({marks})=(\S+)$", done.stdout, re.MULTILINE))
