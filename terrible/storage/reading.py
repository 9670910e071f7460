"""What /sys and /proc say of disks: read here, judged in `terrible.storage.locks`.

Only attributes that the kernel answers without a lock are read, so that a device which is being removed
holds nobody up. What cannot be read is an error and not "nothing": the helper refuses then.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from terrible.model import Location
from terrible.storage import usage
from terrible.storage.locks import Disk
from terrible.storage.usage import Block, Claim

_SECTOR = 512
"""Bytes that `size` counts in, whatever the disk's own sectors are (block/genhd.c)."""


class Machine:
    """One head, as mounted at `root`; asked afresh each time."""

    def __init__(self, root: Path) -> None:
        self._sys, self._proc, self._dev = root / "sys", root / "proc", root / "dev"

    def node(self, name: str) -> Path:
        """Where devtmpfs has a block device."""
        return self._dev / name

    def disks_at(self, slot: Location) -> list[str]:
        """The devices (`8:0`) of all disks at a port or anywhere behind it."""
        port = self._sys / "bus/usb/devices" / slot
        if not port.exists():
            return []
        above = port.resolve(strict=True)
        found = [_real(disk) for disk in sorted((self._sys / "block").iterdir())]
        return [_text(disk / "dev") for disk in found if disk and disk.is_relative_to(above)]

    def disk(self, device: str) -> Disk:
        """The disk or partition that has this device number; FileNotFoundError where none has it any more."""
        directory = (self._sys / "dev/block" / device).resolve(strict=True)
        usb = next((one for one in directory.parents if (one / "idVendor").exists()), None)
        parts = [directory, *_partitions(directory)]
        return Disk(
            name=directory.name,
            device=_text(directory / "dev"),
            path=str(directory.relative_to(self._sys.resolve())),
            ids=(_hex(usb / "idVendor"), _hex(usb / "idProduct")) if usb else None,
            interface_class=_interface_class(directory),
            connected=_connected(usb) if usb else None,
            size=int(_text(directory / "size")) * _SECTOR,
            sector=int(_optional(directory / "queue/logical_block_size") or _SECTOR),
            vendor=_optional(directory / "device/vendor"),
            model=_optional(directory / "device/model"),
            held=tuple(f"{part.name} by {one}" for part in parts for one in _names(part / "holders")),
            used=self._uses().get(directory.name, ()),
        )

    def _uses(self) -> dict[str, tuple[str, ...]]:
        blocks = list(self._blocks())
        names = {block.device: block.name for block in blocks}
        whole = {block.name: self._with_device_behind(block, names) for block in blocks}
        return usage.uses(whole, dict.fromkeys(self._claims(names)))

    def _with_device_behind(self, block: Block, names: dict[str, str]) -> Block:
        """A loop device may have another block device in place of a file: O_EXCL does not see that."""
        behind = self._named(block.backing, names)
        return replace(block, slaves=(*block.slaves, behind)) if behind else block

    def _blocks(self) -> Iterator[Block]:
        for link in sorted((self._sys / "class/block").iterdir()):
            if (real := _real(link)) is not None:
                disk = real.parent.name if (real / "partition").exists() else ""
                with suppress(FileNotFoundError):  # it has just gone, and with it whatever was on it
                    device, slaves = _text(real / "dev"), tuple(_names(real / "slaves"))
                    yield Block(real.name, device, disk, slaves, _optional(real / "loop/backing_file"))

    def _claims(self, names: dict[str, str]) -> Iterator[Claim]:
        for table in self._mount_tables():
            for mount in usage.mounts(table):
                if name := names.get(mount.device) or self._named(mount.source, names):
                    yield Claim(mount.point, name)
        for link in self._sys.glob("fs/btrfs/*/devices/*"):  # a mount tells only one of its devices
            yield Claim("btrfs", link.name)
        for path in usage.swaps((self._proc / "swaps").read_text(errors="surrogateescape")):
            if name := self._named(path, names):
                yield Claim("swap", name)

    def _mount_tables(self) -> set[str]:
        """What is mounted, as every process sees it: containers and services have namespaces of their own."""
        tables = {self._table("self")}
        for process in self._proc.glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                tables.add(self._table(process.name))
        return tables

    def _table(self, process: str) -> str:
        return (self._proc / process / "mountinfo").read_text(errors="surrogateescape")

    def _named(self, path: str, names: dict[str, str]) -> str | None:
        """The block device with this path: by its number, or by its name where no node is there."""
        if not path.startswith("/dev/"):
            return None
        node = self._dev / path.removeprefix("/dev/")
        with suppress(OSError):
            status = node.stat()
            if stat.S_ISBLK(status.st_mode):
                return names.get(number(status.st_rdev))
        return node.name if node.name in names.values() else None


def number(device: int) -> str:
    """A device number as sysfs writes it: `8:0`."""
    return f"{os.major(device)}:{os.minor(device)}"


def _real(link: Path) -> Path | None:
    try:
        return link.resolve(strict=True)
    except FileNotFoundError:
        return None  # it has just gone


def _partitions(disk: Path) -> list[Path]:
    return sorted(path.parent for path in disk.glob("*/partition"))


def _interface_class(directory: Path) -> int | None:
    """That of the nearest USB interface above."""
    above = (one / "bInterfaceClass" for one in directory.parents)
    return next((_hex(attribute) for attribute in above if attribute.exists()), None)


def _connected(usb: Path) -> int | None:
    text = _optional(usb / "power/connected_duration")
    return int(text) if text else None


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def _text(path: Path) -> str:
    return path.read_text(errors="replace").strip()


def _optional(path: Path) -> str:
    try:
        return _text(path)
    except FileNotFoundError:
        return ""


def _hex(path: Path) -> int:
    return int(_text(path), 16)
