"""A head as `terrible check` finds it: real files, helper, lock and broker, and a made sysfs."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrible import lock
from terrible.cli import assemble, check
from terrible.cli.health import power, programs, udev, usb
from terrible.power.topology import Topology
from tests.power.fakehub import FakeHub
from tests.power.process import Helper
from tests.power.tree import Tree

PACKAGING = Path(__file__).parents[2] / "packaging"
CONFIG = """
hub = "1-1"
ports = 3
cluster = "lab"
state_directory = "{top}/state"
[files]
directory = "{top}/boot"
[mqtt]
host = "127.0.0.1"
port = {port}
"""


class Bus:
    """In the place of UsbBus, which needs a controller: its hubs are a FakeHub."""

    def __init__(self, hubs: FakeHub) -> None:
        self.hubs = hubs

    def close(self) -> None: ...


class Head:
    """A head on which everything is well, until a test breaks it."""

    def __init__(self, top: Path, patch: pytest.MonkeyPatch, port: int) -> None:
        self.top = top
        self.tree = Tree(top / "sys")
        self.hub = FakeHub()
        self.rules, self.dev, self.boot, self.proc = top / "rules.d", top / "dev", top / "boot", top / "proc"
        (top / "run").mkdir()
        self.helper = Helper(top / "run", self.tree)
        self.config = top / "terrible.toml"
        self.config.write_text(CONFIG.format(top=top, port=port))
        self._describe()
        self._files()
        self._put(patch)

    def show(self) -> int:
        """The exit code of `terrible check`; the screen is in capsys."""
        with self.helper.running():
            return check.main(self.config)

    def hub_descriptors(self, name: str, vendor: int, devnum: int) -> None:
        bus = "1" if name in ("usb1", "1-1") else "2"
        known = {"idVendor": f"{vendor:04x}", "idProduct": "0002", "bDeviceClass": "09", "busnum": bus}
        for key, value in {**known, "devnum": str(devnum), "product": f"Hub {name}"}.items():
            (self.tree.root / "bus/usb/devices" / name / key).write_text(f"{value}\n")
        node = self.dev / f"00{bus}" / f"{devnum:03d}"
        node.parent.mkdir(parents=True, exist_ok=True)
        node.touch()

    def _describe(self) -> None:
        for number, name in enumerate(("usb1", "usb2", "1-1"), start=1):
            self.hub_descriptors(name, 0x1D6B, number)
        memory = self.tree.root / "module/usbcore/parameters/usbfs_memory_mb"
        memory.parent.mkdir(parents=True)
        memory.write_text("16\n")

    def _files(self) -> None:
        for directory in (self.rules, self.boot, self.top / "state", self.proc / "1"):
            directory.mkdir(parents=True)
        (self.proc / "1/comm").write_text("init\n")  # no agent or rpiboot of somebody else's tests
        (self.rules / udev.RULE).write_text((PACKAGING / udev.RULE).read_text())
        (self.boot / "bootcode.bin").write_bytes(b"bootcode")
        (self.boot / "cmdline.txt.template").write_text("console=serial0 systemd.hostname=${name}\n")

    def _put(self, patch: pytest.MonkeyPatch) -> None:
        for module, name, value in (
            (lock, "RUN", self.top / "run"),
            (usb, "SYS", self.tree.root),
            (usb, "DEV", self.dev),
            (udev, "DIRECTORIES", (self.rules,)),
            (programs, "PROC", self.proc),
            (power, "UsbBus", lambda: Bus(self.hub)),
            (assemble, "Topology", lambda: Topology(self.tree.root)),
        ):
            patch.setattr(module, name, value)
