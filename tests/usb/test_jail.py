"""No name leads out of a directory, whoever resolves it: the kernel or the walk that replaces it."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrible.sim.faults import HOSTILE_NAMES
from terrible.usb import jail

Resolve = Callable[[int, str, int], int]


def _has_openat2() -> bool:
    jail._kernel_resolves.cache_clear()
    return jail._kernel_resolves()


HAS_OPENAT2 = _has_openat2()
needs_openat2 = pytest.mark.skipif(not HAS_OPENAT2, reason="this kernel has no openat2")


@pytest.fixture(
    params=[pytest.param(True, marks=needs_openat2, id="openat2"), pytest.param(False, id="walk")]
)
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to resolve a name."""
    monkeypatch.setattr(jail, "_kernel_resolves", lambda: request.param)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory to stay in, with something to find outside."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    root = tmp_path / "root"
    (root / "overlays").mkdir(parents=True)
    (root / "config.txt").write_text("config")
    (root / "overlays" / "dwc2.dtbo").write_text("dwc2")
    os.mkfifo(root / "fifo")
    links = {
        "same.txt": "config.txt",
        "overlays/up.txt": "../config.txt",
        "down": "overlays",
        "round.txt": "down/../overlays/up.txt",
        "out.txt": "../outside/secret",
        "outdir": "../outside",
        "absolute.txt": "/etc/passwd",
        "absolute-inside.txt": str(root / "config.txt"),
        "there-and-back.txt": "../root/config.txt",
        "loop": "loop",
        "dangling": "nothing",
        "tofifo": "fifo",
        "slashed": "config.txt/",
    }
    for link, target in links.items():
        (root / link).symlink_to(target)
    return root


@pytest.fixture
def root(tree: Path) -> Iterator[int]:
    fd = jail.open_directory(tree)
    yield fd
    os.close(fd)


GOOD = {
    "config.txt": "config",
    "./config.txt": "config",
    "overlays//dwc2.dtbo": "dwc2",
    "overlays/../config.txt": "config",
    "same.txt": "config",
    "overlays/up.txt": "config",
    "down/dwc2.dtbo": "dwc2",
    "down/up.txt": "config",
    "round.txt": "config",
}
BAD = {
    "out.txt": errno.EXDEV,
    "outdir/secret": errno.EXDEV,
    "absolute.txt": errno.EXDEV,
    "absolute-inside.txt": errno.EXDEV,
    "there-and-back.txt": errno.EXDEV,
    "..": errno.EXDEV,
    "../root/config.txt": errno.EXDEV,
    "overlays/../../outside/secret": errno.EXDEV,
    "/etc/passwd": errno.EXDEV,
    "loop": errno.ELOOP,
    "dangling": errno.ENOENT,
    "nothing/../config.txt": errno.ENOENT,
    "": errno.ENOENT,
    "config.txt/": errno.ENOTDIR,
    "config.txt/..": errno.ENOTDIR,
    "config.txt/x": errno.ENOTDIR,
    "slashed": errno.ENOTDIR,
    ".": errno.EISDIR,
    "overlays": errno.EISDIR,
    "down": errno.EISDIR,
    "fifo": errno.ENXIO,
    "tofifo": errno.ENXIO,
    "config.txt\0.jpg": errno.EINVAL,
    "n" * 256: errno.ENAMETOOLONG,
    "x/" * 2048: errno.ENAMETOOLONG,
}


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("name", GOOD)
def test_what_lies_below_opens(root: int, name: str) -> None:
    with open(jail.open_file(root, name)) as file:
        assert file.read() == GOOD[name]
        assert os.get_inheritable(file.fileno()) is False


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("name", BAD, ids=lambda name: repr(name[:20]))
def test_everything_else_is_absent(root: int, name: str) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        os.close(jail.open_file(root, name))
    assert caught.value.errno == BAD[name]
    assert caught.value.errno in jail.ABSENT


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_the_hostile_names_of_the_simulator_are_absent(root: int, name: str) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        os.close(jail.open_file(root, name))
    assert caught.value.errno in jail.ABSENT


@pytest.mark.usefixtures("either")
def test_no_descriptor_is_left_open(root: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for name in (*GOOD, *BAD):
        with contextlib.suppress(OSError):
            os.close(jail.open_file(root, name))
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.usefixtures("either")
def test_what_is_no_file_is_never_opened(tree: Path, root: int) -> None:
    # A writer that waits for a reader would be let go by the shortest open.
    writer = threading.Thread(target=lambda: open(tree / "fifo", "wb").close())
    writer.start()
    time.sleep(0.05)
    for _ in range(20):
        with pytest.raises(OSError, match="No such device"):
            jail.open_file(root, "fifo")
    time.sleep(0.05)
    assert writer.is_alive()
    reader = os.open(tree / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    writer.join()
    os.close(reader)


def test_the_walk_does_not_follow_a_link_that_appears_at_the_last_moment(
    tree: Path, root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = os.open

    def late(path: str, flags: int, *, dir_fd: int) -> int:
        if not flags & os.O_PATH:
            (tree / "config.txt").unlink()
            (tree / "config.txt").symlink_to("../outside/secret")
        return original(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", late)
    with pytest.raises(OSError, match="cross-device") as caught:
        jail.walk(root, "config.txt", os.O_RDONLY)
    assert caught.value.errno == errno.EXDEV


@pytest.mark.usefixtures("either")
def test_links_up_to_the_kernels_limit(tree: Path, root: int) -> None:
    (tree / "l0").symlink_to("config.txt")
    for n in range(1, 41):
        (tree / f"l{n}").symlink_to(f"l{n - 1}")
    os.close(jail.open_file(root, "l39"))
    with pytest.raises(OSError, match="symbolic links"):
        jail.open_file(root, "l40")


@pytest.mark.usefixtures("either")
def test_magic_links_are_absent() -> None:
    root = jail.open_directory("/proc/self")
    with pytest.raises(OSError, match=r".") as caught:
        jail.open_file(root, "exe")
    assert caught.value.errno in jail.ABSENT
    os.close(root)


SWAPPING = """
import os
while True:
    os.symlink("../outside/secret", "new")
    os.replace("new", "swapped")
    with open("new", "x") as file:
        file.write("config")
    os.replace("new", "swapped")
"""


@pytest.mark.usefixtures("either")
def test_a_file_that_becomes_a_link_all_the_time_never_shows_what_is_outside(tree: Path, root: int) -> None:
    with subprocess.Popen([sys.executable, "-c", SWAPPING], cwd=tree) as swapper:
        try:
            seen = {_content(root, "swapped") for _ in range(3000)}
            while "config" not in seen and swapper.poll() is None:
                seen.add(_content(root, "swapped"))
        finally:
            swapper.kill()
    assert seen <= {"config", None}
    assert "config" in seen


def _content(root: int, name: str) -> str | None:
    try:
        with open(jail.open_file(root, name)) as file:
            return file.read()
    except OSError as error:
        assert error.errno in jail.ABSENT
        return None


def test_a_directory_that_is_a_link_may_lead_anywhere(tmp_path: Path, tree: Path) -> None:
    (tmp_path / "top").symlink_to(tree)
    root = jail.open_directory(tmp_path / "top")
    assert _content(root, "config.txt") == "config"
    assert _content(root, "out.txt") is None
    os.close(root)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_without_openat2_the_walk_takes_over(root: int, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(jail, "openat2", refuse)
    jail._kernel_resolves.cache_clear()
    try:
        assert _content(root, "round.txt") == "config"
    finally:
        jail._kernel_resolves.cache_clear()


PARTS = st.sampled_from(["a", "b", "c", "a", "b", "c", "..", ".", ""])
PATHS = st.lists(PARTS, min_size=1, max_size=6).map("/".join)
ENTRIES = st.tuples(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join),
    st.one_of(st.just("file"), st.just("directory"), st.just("fifo"), PATHS.map(lambda target: f">{target}")),
)


@needs_openat2
@settings(max_examples=400, deadline=None)
@given(st.lists(ENTRIES, max_size=14), st.lists(PATHS, min_size=1, max_size=12))
def test_kernel_and_walk_give_the_same_answers(entries: list[tuple[str, str]], names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder, "top")
        (top / "root").mkdir(parents=True)
        for outside in ("a", "b"):
            (top / outside).write_text("outside")
        for path, kind in entries:
            _make(top / "root" / path, kind)
        root = jail.open_directory(top / "root")
        for name in names:
            answer = _answer(jail.openat2, root, name)
            assert answer == _answer(jail.walk, root, name), name
            if isinstance(answer, tuple):
                real = Path(os.path.realpath(top / "root" / name))
                assert real.is_relative_to(os.path.realpath(top / "root"))
                assert (real.stat().st_dev, real.stat().st_ino) == answer
        os.close(root)


def _make(path: Path, kind: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind.startswith(">"):
            path.symlink_to(kind[1:])
        elif kind == "directory":
            path.mkdir()
        elif kind == "fifo":
            os.mkfifo(path)
        else:
            path.open("x").close()
    except OSError:
        pass  # something else is there already


def _answer(resolve: Resolve, root: int, name: str) -> tuple[int, int] | int | None:
    try:
        fd = resolve(root, name, os.O_PATH)
    except OSError as error:
        return error.errno
    status = os.fstat(fd)
    os.close(fd)
    return status.st_dev, status.st_ino
