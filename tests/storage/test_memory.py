"""Taking the boot partition out of an image of any size costs no more than 64 MB of memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.storage.images import Stock, pack

LIMIT = 64_000_000
PROGRAM = """
import resource, sys
from pathlib import Path
from terrible.storage.images.bootdir import make
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
Path("/proc/self/clear_refs").write_text("5")  # ru_maxrss would begin with the peak of whoever started us
before = peak()
make(Path(sys.argv[1]), Path(sys.argv[2]))
print((peak() - before + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A boot partition of 512 MiB in clusters of 512 bytes, as pi-gen makes it, with 90 MiB in it."""
    kernels = {f"kernel{number}.img": os.urandom(1 << 16) * 480 for number in ("", "7", "8")}
    return Stock(extra=kernels, boot_size=512, root_size=64).build(
        tmp_path_factory.mktemp("large") / "large.img"
    )


@pytest.mark.parametrize("how", ["", "xz", "gz", "zst"])
def test_the_boot_partition_of_half_a_gigabyte_stays_out_of_memory(
    large: Path, tmp_path: Path, how: str
) -> None:
    image = pack(large, how) if how else large
    command = [sys.executable, "-c", PROGRAM, str(image), str(tmp_path / "boot")]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    # What the unpacker shares with others is counted too.
    assert int(done.stdout) <= LIMIT
    folder = large.with_name(large.name + ".files")
    for file in ("kernel.img", "kernel8.img", "start.elf"):
        assert (tmp_path / "boot" / file).read_bytes() == (folder / file).read_bytes()
