"""A hub is found again by its controller, whatever number the kernel gave its bus this time."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrible import controllers
from terrible.configfile import ConfigError, load
from terrible.placement import places

ZERO = ("platform/soc/3f980000.usb", ("platform", "platform", "platform"))
PI4 = ("platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0", ("pci", "pci", "", "platform"))
PI5 = ("platform/axi/1000120000.pcie/1f00200000.usb/xhci-hcd.0", ("platform", "platform"))
PC = ("pci0000:00/0000:00:14.0", ("pci",))


@pytest.fixture(autouse=True)
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(controllers, "SYSFS", tmp_path)
    (tmp_path / "bus/usb/devices").mkdir(parents=True)
    return tmp_path


def attach(sysfs: Path, controller: tuple[str, tuple[str, ...]], bus: int, speed: str = "480") -> None:
    """A root hub as the kernel shows it: a link to it, and the bus of each device above, nearest first."""
    path, above = controller
    device = sysfs / "devices" / path
    hub = device / f"usb{bus}"
    hub.mkdir(parents=True)
    (hub / "speed").write_text(f"{speed}\n")
    (sysfs / f"bus/usb/devices/usb{bus}").symlink_to(hub)
    for parent, subsystem in zip((device, *device.parents), above, strict=False):
        if subsystem and not (parent / "subsystem").exists():
            (sysfs / "bus" / subsystem).mkdir(exist_ok=True)
            (parent / "subsystem").symlink_to(sysfs / "bus" / subsystem)


@pytest.mark.parametrize(
    ("controller", "name"),
    [
        (ZERO, "platform-3f980000.usb"),
        (PI4, "platform-fd500000.pcie-pci-0000:01:00.0"),
        (PI5, "platform-xhci-hcd.0"),
        (PC, "pci-0000:00:14.0"),
    ],
)
def test_a_controller_is_named_as_udev_names_it(
    sysfs: Path, controller: tuple[str, tuple[str, ...]], name: str
) -> None:
    attach(sysfs, controller, bus=3)
    assert controllers.kernel_name(f"{name}-usb-0:1.2") == "3-1.2"
    assert controllers.kernel_name(f"{name}-usbv2-0:1") == "3-1"
    assert controllers.kernel_name(name) == "usb3"


def test_of_a_usb_3_controller_the_pis_are_on_the_usb_2_bus(sysfs: Path) -> None:
    attach(sysfs, PC, bus=1, speed="480")
    attach(sysfs, PC, bus=2, speed="10000")
    assert controllers.kernel_name("pci-0000:00:14.0-usb-0:4") == "1-4"


def test_a_kernel_name_stays_as_it_is() -> None:
    assert controllers.kernel_name("1-1.2") == "1-1.2"
    assert controllers.kernel_name("usb1") == "usb1"


def helpers(config: dict[str, object]) -> set[str]:
    return {place.location for place in places(config)}


def test_the_configuration_and_the_helper_find_the_same_ports(sysfs: Path, tmp_path: Path) -> None:
    attach(sysfs, ZERO, bus=7)
    text = 'hub = "platform-3f980000.usb-usb-0:1"\nports = 2\n'
    file = tmp_path / "terrible.toml"
    file.write_text(text)
    located = {slot.location for slot in load(file, {}).named_slots()}
    assert located == {"7-1.1", "7-1.2"}
    assert helpers({"hub": "platform-3f980000.usb-usb-0:1", "ports": 2}) == located
    spelled_out = [{"name": "alpha", "location": "platform-3f980000.usb-usb-0:1.4"}]
    assert helpers({"slots": spelled_out}) == {"7-1.4"}


def test_a_controller_that_is_not_there_names_those_that_are(sysfs: Path, tmp_path: Path) -> None:
    attach(sysfs, PC, bus=1)
    file = tmp_path / "terrible.toml"
    file.write_text('hub = "platform-3f980000.usb-usb-0:1"\nports = 2\n')
    with pytest.raises(ConfigError, match=r"hub = .*no USB controller platform-3f9.*0000:00:14\.0"):
        load(file, {})
