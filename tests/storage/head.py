"""A made head: /sys, /proc and /dev in a directory, laid out as the kernel does it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

CONTROLLER = Path("devices/pci0000:00/0000:00:14.0")
PI = ("0a5c", "0001")
SIZE = 2 * 2**30
SLOT = "1-1.2"


class Head:
    """Bus 1 with a hub at 1-1, a root file system on `mmcblk0p2`, and no other disk.

    `card` is the device number that a disk gets which is called `card` here: a real one where it is to be
    opened, and then its node is made too.
    """

    def __init__(self, root: Path, card: str = "8:0") -> None:
        self.root, self.sys = root, root / "sys"
        self.card = card
        self._made = 0
        for directory in ("sys/block", "sys/class/block", "sys/dev/block", "sys/bus/usb/devices", "dev"):
            (root / directory).mkdir(parents=True)
        self._write(root / "proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n")
        self._write(root / "proc/self/mountinfo", "22 27 0:21 / /proc rw,relatime - proc proc rw\n")
        for location in ("usb1", "1-1"):
            self.usb(location, ids=("1d6b", "0002"), interface="09")
        self.whole("mmcblk0", "179:0", "devices/platform/emmc2bus/fe340000.mmc/mmc_host/mmc0/mmc0:aaaa")
        self.partition("mmcblk0", 1, "179:1")
        self.partition("mmcblk0", 2, "179:2")
        self.mount("179:2", "/", "/dev/root")
        self.mount("179:1", "/boot/firmware", "/dev/mmcblk0p1")

    # -- USB ----------------------------------------------------------------------------------------

    def usb(
        self, location: str, ids: tuple[str, str] = PI, interface: str = "08", connected: int | None = 4000
    ) -> None:
        """A device and its interface; `connected` in milliseconds, None without CONFIG_PM."""
        device = self.device(location)
        self._write(device / "idVendor", ids[0])
        self._write(device / "idProduct", ids[1])
        if connected is not None:
            self._write(device / "power/connected_duration", str(connected))
        number = f"{location[3:]}-0:1.0" if location.startswith("usb") else f"{location}:1.0"
        self._write(device / number / "bInterfaceClass", interface)
        self._link(self.sys / "bus/usb/devices" / location, device)

    def device(self, location: str) -> Path:
        """Its directory: one within another, from the controller on."""
        if location.startswith("usb"):
            return self.sys / CONTROLLER / location
        above, dot, _ = location.rpartition(".")
        return self.device(above if dot else f"usb{location.partition('-')[0]}") / location

    def usb_disk(self, location: str, name: str, device: str, lun: int = 0, size: int = SIZE) -> None:
        """A disk of the USB device that is already there."""
        self._made += 1
        host = self.device(location) / f"{location}:1.0/host{self._made}"
        scsi = host / f"target{self._made}:0:0/{self._made}:0:0:{lun}"
        self._write(scsi / "vendor", "mmcblk0 ")
        self._write(scsi / "model", "Raspberry Pi    ")
        self.whole(name, device, str(scsi.relative_to(self.sys)), size)
        self._link(self.sys / "block" / name / "device", scsi)

    def pi(self, location: str = SLOT, *, size: int = SIZE, connected: int | None = 4000) -> None:
        """A Pi that shows its card: `sda`, the device that can really be opened."""
        self.usb(location, connected=connected)
        self.usb_disk(location, "sda", self.card, size=size)
        self.node("sda", self.card)

    # -- block devices ------------------------------------------------------------------------------

    def whole(self, name: str, device: str, parent: str, size: int = SIZE) -> None:
        directory = self.sys / parent / "block" / name
        self._block(directory, name, device, size)
        self._write(directory / "queue/logical_block_size", "512")
        self._link(self.sys / "block" / name, directory)

    def partition(self, disk: str, number: int, device: str) -> str:
        name = f"{disk}{'p' if disk[-1].isdigit() else ''}{number}"
        directory = (self.sys / "block" / disk).resolve() / name
        self._block(directory, name, device, SIZE // 4)
        self._write(directory / "partition", str(number))
        return name

    def stacked(self, name: str, device: str, on: Sequence[str]) -> None:
        """A device of LVM, md or encryption, linked both ways with what it is made of."""
        self.whole(name, device, "devices/virtual")
        own = (self.sys / "block" / name).resolve()
        for one in on:
            below = (self.sys / "class/block" / one).resolve()
            self._link(own / "slaves" / one, below)
            self._link(below / "holders" / name, own)

    def loop(self, name: str, device: str, backing: str) -> None:
        self.whole(name, device, "devices/virtual")
        self._write((self.sys / "block" / name).resolve() / "loop/backing_file", backing)

    def node(self, name: str, device: str) -> None:
        """The device in /dev, where we may make one."""
        major, _, minor = device.partition(":")
        if os.geteuid() == 0:
            (self.root / "dev" / name).unlink(missing_ok=True)
            os.mknod(self.root / "dev" / name, 0o060600, os.makedev(int(major), int(minor)))

    def size(self, name: str) -> int:
        """Bytes of a disk, by sysfs; those of an ordinary card where there is none."""
        size = self.sys / "block" / name / "size"
        return int(size.read_text()) * 512 if size.exists() else SIZE

    # -- what is in use -----------------------------------------------------------------------------

    def mount(self, device: str, point: str, source: str, process: str = "self") -> None:
        line = f"30 1 {device} / {point} rw,relatime shared:1 - ext4 {source} rw\n"
        self._append(f"proc/{process}/mountinfo", line)

    def swap(self, path: str) -> None:
        self._append("proc/swaps", f"{path}\tpartition\t1048572\t0\t-2\n")

    def pull(self, location: str = SLOT) -> None:
        """Take a device away, with its disk and all links to it."""
        device = self.device(location)
        shutil.rmtree(device)
        for links in ("block", "class/block", "dev/block", "bus/usb/devices"):
            for link in (self.sys / links).iterdir():
                if not link.exists():
                    link.unlink()

    # -- files --------------------------------------------------------------------------------------

    def _block(self, directory: Path, name: str, device: str, size: int) -> None:
        self._write(directory / "dev", device)
        self._write(directory / "size", str(size // 512))
        (directory / "holders").mkdir()
        (directory / "slaves").mkdir()
        self._link(self.sys / "class/block" / name, directory)
        self._link(self.sys / "dev/block" / device, directory)

    def _link(self, link: Path, to: Path) -> None:
        link.symlink_to(os.path.relpath(to, link.resolve().parent))

    def _write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if text.endswith("\n") else f"{text}\n")

    def _append(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(text)
