"""The reading of disks against the real kernel of this machine, whatever it has."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from terrible.model import Location
from terrible.storage import locks
from terrible.storage.reading import Machine, number

from .conftest import Loop, needs_loop

MACHINE = Machine(Path("/"))
HERE = Location("1-1.2")
DISKS = [path for path in sorted(Path("/sys/block").glob("*")) if not path.name.startswith("ram")]
needs_disks = pytest.mark.skipif(not DISKS, reason="this machine has no disks")


@needs_disks
def test_every_disk_of_this_machine_is_refused() -> None:
    for path in DISKS:
        disk = MACHINE.disk((path / "dev").read_text().strip())
        assert (disk.name, disk.size) == (path.name, int((path / "size").read_text()) * 512)
        for lock in (locks.is_at_the_slot, locks.is_a_pi, locks.has_just_come):
            assert lock(disk, HERE)


def test_the_disk_of_the_root_is_in_use() -> None:
    root = number(os.stat("/").st_dev)
    if not Path(f"/sys/dev/block/{root}").exists():
        pytest.skip("the root here is on no block device")
    directory = Path(f"/sys/dev/block/{root}").resolve()
    whole = directory.parent if (directory / "partition").exists() else directory
    disk = MACHINE.disk((whole / "dev").read_text().strip())
    assert locks.is_not_used(disk, HERE).startswith(
        f"lock 4: {whole.name} is in use: / is on {directory.name}"
    )


@needs_loop
def test_no_lock_but_those_on_usb_minds_a_loop_device(loop: Loop) -> None:
    disk = MACHINE.disk(loop.number)
    refusing = [lock for lock in locks.LOCKS if lock(disk, HERE)]
    assert refusing == [locks.is_at_the_slot, locks.is_a_pi, locks.has_just_come]


@needs_loop
@pytest.mark.skipif(not shutil.which("mkfs.ext4"), reason="no mkfs.ext4 here")
def test_what_is_mounted_here_is_seen_from_a_namespace_of_its_own(loop: Loop, tmp_path: Path) -> None:
    """Real mounts, in a namespace that ours does not see into."""
    subprocess.run(["mkfs.ext4", "-q", "-E", "nodiscard", loop.node], check=True)
    script = f"mount {loop.node} {tmp_path} && echo mounted && cat"
    command = ["unshare", "--mount", "sh", "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"mounted\n"
        assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
        why = locks.is_not_used(MACHINE.disk(loop.number), HERE)
        assert why == f"lock 4: {loop.node.name} is in use: {tmp_path} is on {loop.node.name}"
        other.communicate(timeout=10)
    assert locks.is_not_used(MACHINE.disk(loop.number), HERE) == ""
