"""A real block device, where we may have one, and made heads in whose slot it sits; stock images."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from terrible.storage.images.prepare import prepare

from .head import SIZE, Head
from .images import BOOKWORM_IMAGE, TRIXIE_IMAGE
from .prepared import OWNER, Made, quiet
from .process import Helper

NO_LOOP = os.geteuid() != 0 or not Path("/dev/loop-control").exists() or not shutil.which("losetup")
needs_loop = pytest.mark.skipif(NO_LOOP, reason="only root can have a block device")


class Loop:
    """A loop device on a sparse file."""

    def __init__(self, file: Path) -> None:
        file.touch()
        command = ["losetup", "-f", "--show", str(file)]
        told = subprocess.run(command, capture_output=True, text=True, check=True)
        self.file, self.node = file, Path(told.stdout.strip())
        self.number = number(self.node)

    def resize(self, size: int) -> None:
        if self.file.stat().st_size != size:
            os.truncate(self.file, size)
            subprocess.run(["losetup", "-c", self.node], check=True)

    def close(self) -> None:
        subprocess.run(["losetup", "-d", self.node], check=True)


@pytest.fixture(scope="session")
def loops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Loop, Loop]]:
    directory = tmp_path_factory.mktemp("loops")
    both = Loop(directory / "card"), Loop(directory / "other")
    yield both
    for loop in both:
        loop.close()


@pytest.fixture
def loop(loops: tuple[Loop, Loop]) -> Loop:
    """As large as a card is in the made trees."""
    loops[0].resize(SIZE)
    return loops[0]


@pytest.fixture
def other_loop(loops: tuple[Loop, Loop]) -> Loop:
    loops[1].resize(SIZE)
    return loops[1]


def number(node: Path) -> str:
    device = node.stat().st_rdev
    return f"{os.major(device)}:{os.minor(device)}"


@pytest.fixture
def head(tmp_path: Path) -> Head:
    """Nothing in it can be opened."""
    return Head(tmp_path / "head")


@pytest.fixture
def real_head(tmp_path: Path, loop: Loop) -> Head:
    """What is called `sda` in it is the loop device."""
    return Head(tmp_path / "head", loop.number)


@pytest.fixture
def helper(tmp_path: Path, head: Head) -> Helper:
    return Helper(tmp_path, head)


@pytest.fixture
def real_helper(tmp_path: Path, real_head: Head) -> Helper:
    return Helper(tmp_path, real_head)


@pytest.fixture(scope="session")
def bookworm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As pi-gen makes it; nobody changes it."""
    return BOOKWORM_IMAGE.build(tmp_path_factory.mktemp("stock") / "bookworm.img")


@pytest.fixture(scope="session")
def trixie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Likewise, with cloud-init."""
    return TRIXIE_IMAGE.build(tmp_path_factory.mktemp("stock") / "trixie.img")


@pytest.fixture(scope="session")
def of_bookworm(bookworm: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    out = tmp_path_factory.mktemp("prepared") / "node.img"
    prepare(bookworm, out, OWNER, None, quiet)
    return Made(out)


@pytest.fixture(scope="session")
def of_trixie(trixie: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    out = tmp_path_factory.mktemp("prepared") / "node.img"
    prepare(trixie, out, OWNER, None, quiet)
    return Made(out)


@pytest.fixture(params=["bookworm", "trixie"])
def made(request: pytest.FixtureRequest) -> Made:
    found = request.getfixturevalue(f"of_{request.param}")
    assert isinstance(found, Made)
    return found
