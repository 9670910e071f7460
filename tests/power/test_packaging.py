"""The files of packaging/: systemd takes them, they are as tight as promised, and name what we need."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from terrible.__main__ import main
from terrible.peers import USER
from terrible.usb.identify import BROADCOM, CHIPS, DISKS

PACKAGING = Path(__file__).parents[2] / "packaging"
CONFIGURED = {
    "terrible.service": 1.8,
    "terrible-port.service": 1.8,
    "terrible-net.service": 3.3,
    "terrible-disk.service": 1.8,
}
SERVICES = CONFIGURED | {"terrible-exporter.service": 1.2}
"""And how exposed they may be, of 10."""
UNITS = [*SERVICES, "terrible-port.socket", "terrible-net.socket", "terrible-disk.socket"]

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")


def settings(unit: str) -> set[str]:
    """The `key=value` lines of a unit."""
    lines = PACKAGING.joinpath(unit).read_text().splitlines()
    return {line for line in lines if line and line[0] not in "#["}


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_sections_of_keys(unit: str) -> None:
    lines = [line for line in PACKAGING.joinpath(unit).read_text().splitlines() if line]
    assert all(
        re.fullmatch(r"#.*|\[(Unit|Service|Socket|Install)\]|[A-Z][A-Za-z]+=.*", line) for line in lines
    )


def test_the_agent_is_watched_and_unprivileged() -> None:
    assert settings("terrible.service") >= {
        "Type=notify",
        "WatchdogSec=60",
        "Restart=always",
        "RestartPreventExitStatus=78",
        "KillMode=mixed",
        f"User={USER}",
        "RuntimeDirectory=terrible",
        "StateDirectory=terrible",
        "CapabilityBoundingSet=",
        "DevicePolicy=closed",
        "DeviceAllow=char-usb_device rw",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "MemoryDenyWriteExecute=no",
    }


def test_the_helper_can_do_its_work() -> None:
    helper = settings("terrible-port.service")
    assert not helper & {"ProtectKernelTunables=yes", "PrivateUsers=yes", f"User={USER}"}
    assert "CapabilityBoundingSet=" in helper
    assert settings("terrible-port.socket") >= {"ListenStream=/run/terrible/port.sock", "SocketUser=terrible"}


def test_the_network_s_helper_holds_what_dnsmasq_needs_and_no_more() -> None:
    helper = settings("terrible-net.service")
    (held,) = (line for line in helper if line.startswith("CapabilityBoundingSet="))
    assert set(held.partition("=")[2].split()) == {
        "CAP_NET_ADMIN",
        "CAP_NET_RAW",
        "CAP_NET_BIND_SERVICE",
        "CAP_SETUID",
        "CAP_SETGID",
        "CAP_KILL",
    }
    assert "ProtectKernelTunables=yes" not in helper
    assert "RuntimeDirectory=terrible-net" in helper
    assert settings("terrible-net.socket") >= {"ListenStream=/run/terrible/net.sock", "SocketUser=terrible"}


def test_the_exporter_is_nobody_and_finds_its_broker_in_a_file_of_root_s() -> None:
    exporter = settings("terrible-exporter.service")
    assert exporter >= {
        "DynamicUser=yes",
        "CapabilityBoundingSet=",
        "EnvironmentFile=-/etc/terrible/exporter.env",
        "ExecStart=/usr/bin/terrible exporter",
        "RestartPreventExitStatus=2 78",
    }
    assert not [line for line in exporter if line.startswith(("Environment=", "User="))]


def test_the_opener_of_cards_opens_scsi_disks_and_sees_who_uses_them() -> None:
    helper = settings("terrible-disk.service")
    assert helper >= {"CapabilityBoundingSet=", "DevicePolicy=closed", "DeviceAllow=block-sd rw"}
    assert sum(line.startswith("DeviceAllow=") for line in helper) == 1
    hiding = ("PrivateDevices", "PrivateUsers", "ProtectProc", "ProcSubset", "User")
    assert not [line for line in helper if line.partition("=")[0] in hiding]
    assert settings("terrible-disk.socket") >= {"ListenStream=/run/terrible/disk.sock", "SocketUser=terrible"}


@pytest.mark.parametrize("unit", ["terrible-port.service", "terrible-disk.service"])
def test_the_helper_takes_its_units_arguments(unit: str, capsys: pytest.CaptureFixture[str]) -> None:
    """All but the socket, which is no argument there."""
    (start,) = (line for line in settings(unit) if line.startswith("ExecStart="))
    with pytest.raises(SystemExit):
        main(start.split()[1:])
    assert "systemd passed no socket" in capsys.readouterr().err


def test_agent_and_helper_read_one_configuration() -> None:
    texts = [PACKAGING.joinpath(unit).read_text() for unit in CONFIGURED]
    first, *others = (re.findall(r"--config (\S+)", text) for text in texts)
    assert all(other == first != [] for other in others)


@needs_systemd
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        text = PACKAGING.joinpath(unit).read_text()
        (tmp_path / unit).write_text(text.replace("/usr/bin/terrible", shutil.which("true") or ""))
    command = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / unit) for unit in UNITS)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    complaints = [line for line in told.stderr.splitlines() if "terrible" in line]
    assert (told.returncode, complaints) == (0, [])


@needs_systemd
@pytest.mark.parametrize(("unit", "most"), SERVICES.items())
def test_exposure(unit: str, most: float) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(PACKAGING / unit)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    exposure = re.search(r"exposure level .*: ([0-9.]+)", told)
    assert exposure is not None
    assert float(exposure[1]) <= most


def rules() -> list[str]:
    lines = PACKAGING.joinpath("70-terrible.rules").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_rules_are_matches_and_assignments() -> None:
    token = r'[A-Z]+(\{\w+\})?(==|!=|=)"[^"]*"'
    assert all(re.fullmatch(rf"{token}(, {token})*", line) for line in rules())


def test_rules_give_every_boot_device_and_hub_to_the_group() -> None:
    (boot,) = (line for line in rules() if "idProduct" in line and "MODE" in line)
    products = re.findall(r'ATTR\{idProduct\}=="([^"]*)"', boot)[0].split("|")
    assert {int(product, 16) for product in products} == set(CHIPS)
    assert f'ATTR{{idVendor}}=="{BROADCOM:04x}"' in boot
    (hub,) = (line for line in rules() if 'ATTR{bDeviceClass}=="09"' in line)
    for rule in (boot, hub):
        assert rule.endswith(f'GROUP="{USER}", MODE="0660"')


def test_rules_keep_everybody_off_the_cards_that_pis_show() -> None:
    disks = [line for line in rules() if 'SUBSYSTEM=="block"' in line]
    ids = [re.findall(r'ATTRS\{id(?:Vendor|Product)\}=="([0-9a-f]{4})"', line) for line in disks]
    assert {(int(vendor, 16), int(product, 16)) for vendor, product in ids} == DISKS
    for line in disks:
        assert line.endswith('ENV{UDISKS_IGNORE}="1", ENV{SYSTEMD_READY}="0"')
        assert rules().index(line) < rules().index('SUBSYSTEM!="usb", GOTO="terrible_end"')


def test_user_and_directory() -> None:
    assert f"\nu {USER} " in PACKAGING.joinpath("terrible.sysusers").read_text()
    assert f"\nd /run/terrible 0750 {USER} {USER}" in PACKAGING.joinpath("terrible.tmpfiles").read_text()


def test_every_file_has_its_place_in_the_readme() -> None:
    text = PACKAGING.joinpath("README.md").read_text()
    assert all(f"`{file.name}`" in text for file in PACKAGING.iterdir() if file.name != "README.md")
