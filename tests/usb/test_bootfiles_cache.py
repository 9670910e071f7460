"""Files are read once for all nodes, as one snapshot each, within a budget, and off the loop where large."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import os
import threading
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from terrible.errors import BootError
from terrible.model import Location, Slot
from terrible.usb import cache, digests
from terrible.usb.bootfiles import BootFiles, Found, Missing, Roots
from tests import clock

SLOTS = [Slot(f"node{n}", n, Location(f"1-1.{n}"), "", "") for n in range(1, 5)]
MIB = 1 << 20


def bytes_read() -> int:
    """What this process has read so far, all threads, whether from the disk or the page cache."""
    return int(Path("/proc/self/io").read_text().split()[1])


async def find(files: BootFiles, name: str, slot: Slot = SLOTS[0]) -> Found:
    found = await files.find(slot, "2710", name)
    assert isinstance(found, Found)
    await found.digest.wait()
    assert found.digest.known == hashlib.sha256(found.content).hexdigest()
    return found


@pytest.fixture
def files(tmp_path: Path) -> BootFiles:
    return BootFiles(Roots(tmp_path), SLOTS)


# -- read once -------------------------------------------------------------------------------------


def test_four_nodes_at_once_cause_one_read(tmp_path: Path, files: BootFiles) -> None:
    async def all_at_once() -> list[Found]:
        return await asyncio.gather(*(find(files, "initrd.img", slot) for slot in SLOTS))

    content = os.urandom(8 * MIB)
    (tmp_path / "initrd.img").write_bytes(content)
    before = bytes_read()
    found = asyncio.run(all_at_once())
    assert bytes_read() - before < 1.1 * len(content)
    assert {id(each.content) for each in found} == {id(found[0].content)}
    assert found[0].content == content


@pytest.mark.parametrize("size", [100, 64 * 1024, 64 * 1024 + 1, 3 * MIB])
def test_later_nodes_cause_no_read(tmp_path: Path, files: BootFiles, size: int) -> None:
    async def one_after_the_other() -> int:
        await find(files, "kernel.img")
        before = bytes_read()
        for slot in SLOTS:
            assert len((await find(files, "kernel.img", slot)).content) == size
        return bytes_read() - before

    (tmp_path / "kernel.img").write_bytes(os.urandom(size))
    assert asyncio.run(one_after_the_other()) < 100 + size // 2


def test_one_file_under_several_names_is_read_once(tmp_path: Path, files: BootFiles) -> None:
    async def two_names() -> int:
        await find(files, "kernel.img")
        before = bytes_read()
        found = await find(files, "kernel7.img", SLOTS[1])
        assert (found.name, found.layer) == ("kernel7.img", "node2")
        return bytes_read() - before

    (tmp_path / "kernel.img").write_bytes(os.urandom(MIB))
    (tmp_path / "node2").mkdir()
    (tmp_path / "node2" / "kernel7.img").hardlink_to(tmp_path / "kernel.img")
    (tmp_path / "kernel.img").read_bytes()
    assert asyncio.run(two_names()) < MIB // 2


def test_a_new_version_is_read_anew(tmp_path: Path, files: BootFiles) -> None:
    async def versions() -> None:
        path = tmp_path / "kernel.img"
        for n in range(20):
            content = bytes([n]) * 100_000
            path.with_suffix(".new").write_bytes(content)
            path.with_suffix(".new").replace(path)
            assert (await find(files, "kernel.img")).content == content
        path.write_bytes(b"in place")
        assert (await find(files, "kernel.img")).content == b"in place"
        path.unlink()
        assert isinstance(await files.find(SLOTS[0], "2710", "kernel.img"), Missing)

    asyncio.run(versions())


def test_what_was_found_stays_as_it_was(tmp_path: Path, files: BootFiles) -> None:
    (tmp_path / "config.txt").write_bytes(b"old")
    found = asyncio.run(find(files, "config.txt"))
    (tmp_path / "config.txt").write_bytes(b"much newer")
    assert found.content == b"old"


# -- one snapshot ----------------------------------------------------------------------------------


def test_a_file_replaced_all_the_time_is_always_whole(tmp_path: Path, files: BootFiles) -> None:
    path, stop = tmp_path / "kernel.img", threading.Event()

    def replace() -> None:
        for n in range(1, 1 << 30):
            if stop.is_set():
                return
            path.with_suffix(".new").write_bytes(bytes([n % 256]) * (50_000 + n % 7 * 10_000))
            path.with_suffix(".new").replace(path)

    async def look() -> set[int]:
        return {len(_homogeneous(await find(files, "kernel.img"))) for _ in range(1500)}

    path.write_bytes(b"x" * 50_000)
    assert len(_beside(replace, stop, look())) > 3


def _homogeneous(found: Found) -> bytes | bytearray:
    assert len(set(found.content)) == 1
    return found.content


def _beside(work: Any, stop: threading.Event, story: Coroutine[Any, Any, set[int]]) -> set[int]:
    worker = threading.Thread(target=work)
    worker.start()
    try:
        return asyncio.run(story)
    finally:
        stop.set()
        worker.join()


def test_a_file_cut_and_extended_in_place_is_what_was_read(tmp_path: Path, files: BootFiles) -> None:
    path, stop = tmp_path / "kernel.img", threading.Event()

    def rewrite() -> None:
        while not stop.is_set():
            for size in (10, 300_000, 70_000, 1, 65_536):
                os.truncate(path, size)

    async def look() -> set[int]:
        return {len((await find(files, "kernel.img")).content) for _ in range(500)}

    path.write_bytes(b"x" * 10)
    lengths = _beside(rewrite, stop, look())
    assert len(lengths) > 2
    assert max(lengths) <= 300_000


@pytest.mark.parametrize("size", [1000, 500_000])
@pytest.mark.parametrize("change", ["shorter", "longer", "same size"])
def test_a_change_during_the_read_is_read_again(
    tmp_path: Path, files: BootFiles, monkeypatch: pytest.MonkeyPatch, size: int, change: str
) -> None:
    path = tmp_path / "kernel.img"
    path.write_bytes(b"a" * size)
    after = b"b" * {"shorter": size // 2, "longer": size * 2, "same size": size}[change]
    _before_reads(monkeypatch, [lambda: None, lambda: path.write_bytes(after)])
    assert asyncio.run(find(files, "kernel.img")).content == after


def test_a_file_that_keeps_changing_is_read_three_times_and_not_kept(
    tmp_path: Path, files: BootFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kernel.img"
    path.write_bytes(b"0" * 10)
    # Every reading is two reads: the content, and the end of it; the change comes between them.
    changes = [
        action
        for n in (1, 2, 3)
        for action in (lambda: None, lambda n=n: path.write_bytes(b"%d" % n * (10 + n)))
    ]
    left = _before_reads(monkeypatch, changes)
    found = asyncio.run(find(files, "kernel.img"))
    assert not left
    assert found.shared is not None
    assert found.shared.version is None
    assert asyncio.run(find(files, "kernel.img")).content == b"3" * 13


def _before_reads(monkeypatch: pytest.MonkeyPatch, actions: list[Any]) -> list[Any]:
    """Do one of the actions before each read of a file; what is left of them is returned."""
    original = os.preadv

    def preadv(fd: int, buffers: Any, offset: int) -> int:
        if actions:
            actions.pop(0)()
        return original(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    return actions


# -- the budget ------------------------------------------------------------------------------------


def test_the_cache_keeps_at_most_its_budget_and_drops_the_oldest(tmp_path: Path, files: BootFiles) -> None:
    async def ask(name: str) -> bool:
        """Whether it had to be read."""
        before = bytes_read()
        await find(files, name)
        return bytes_read() - before > MIB

    async def story() -> list[bool]:
        return [await ask(name) for name in ("a", "b", "c", "a", "d", "a", "c", "d", "b")]

    for name in "abcd":
        with (tmp_path / name).open("wb") as file:
            file.truncate(20 * MIB)
    # 64 MB hold three; `a` was used again before `d` came, so `b` had to go, then `c` for nobody.
    assert asyncio.run(story()) == [True, True, True, False, True, False, False, False, True]


def test_many_small_files_stay_within_the_budget_too(tmp_path: Path) -> None:
    async def story() -> None:
        for n in range(1300):
            (tmp_path / f"{n}").write_bytes(b"%d" % n * 20_000)
            fd = os.open(tmp_path / f"{n}", os.O_RDONLY)
            await store.read(fd)
            (tmp_path / f"{n}").unlink()

    store = cache.Cache()
    asyncio.run(story())
    kept = sum(len(content.data) for content in store._recent.values())
    assert kept == store._held
    assert 0.99 * cache.BUDGET < kept <= cache.BUDGET


def test_a_file_larger_than_the_budget_is_shared_while_it_is_in_use(tmp_path: Path, files: BootFiles) -> None:
    async def story() -> list[bool]:
        reads = []
        in_use: list[Found] = []
        for hold in (True, True, False, False):
            before = bytes_read()
            if hold:
                in_use.append(await find(files, "boot.img"))
            else:
                in_use.clear()
                await asyncio.sleep(0)  # the loop lets go of what it woke us with
                await find(files, "boot.img")
            reads.append(bytes_read() - before > MIB)
        return reads

    with (tmp_path / "boot.img").open("wb") as file:
        file.truncate(65 * MIB)
    gc.disable()  # nothing may wait for it: it is the memory of a small head
    try:
        assert asyncio.run(story()) == [True, False, True, True]
    finally:
        gc.enable()


# -- the loop and cancellation ---------------------------------------------------------------------


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """An SD card that answers only once the event is set."""
    original, go = os.preadv, threading.Event()

    def preadv(fd: int, buffers: Any, offset: int) -> int:
        assert go.wait(10)
        return original(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    yield go
    go.set()


def test_a_slow_card_does_not_stop_the_loop(tmp_path: Path, files: BootFiles, slow: threading.Event) -> None:
    async def story() -> bytes | bytearray:
        reading = asyncio.create_task(find(files, "kernel.img"))
        started = time.monotonic()
        await asyncio.sleep(0.05)
        assert time.monotonic() - started < 5
        assert not reading.done()
        slow.set()
        return (await reading).content

    (tmp_path / "kernel.img").write_bytes(b"x" * 70_000)
    assert asyncio.run(story()) == b"x" * 70_000


@pytest.mark.parametrize("cancelled", [{0}, {1}, {0, 1, 2}, {0, 1, 2, 3}])
def test_a_cancelled_reader_does_not_break_the_others(
    tmp_path: Path, files: BootFiles, slow: threading.Event, cancelled: set[int]
) -> None:
    async def story() -> None:
        readers = [asyncio.create_task(find(files, "kernel.img", slot)) for slot in SLOTS]
        await asyncio.sleep(0.02)
        for n in cancelled:
            readers[n].cancel()
        done = await asyncio.wait_for(
            asyncio.gather(*(readers[n] for n in cancelled), return_exceptions=True), 5
        )
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in done)
        slow.set()
        for n in set(range(4)) - cancelled:
            assert len((await readers[n]).content) == 70_000
        assert len((await find(files, "kernel.img")).content) == 70_000

    (tmp_path / "kernel.img").write_bytes(b"x" * 70_000)
    descriptors = len(os.listdir("/proc/self/fd"))
    asyncio.run(story())
    assert len(os.listdir("/proc/self/fd")) == descriptors


@pytest.mark.parametrize("patient", [True, False])
def test_a_failed_read_fails_all_who_wait_and_is_tried_again_later(
    tmp_path: Path,
    files: BootFiles,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    patient: bool,
) -> None:
    async def story() -> set[type[object]]:
        readers = [asyncio.create_task(files.find(slot, "2710", "kernel.img")) for slot in SLOTS]
        if not patient:
            await asyncio.sleep(0)
            for reader in readers:
                reader.cancel()
        outcomes: set[type[object]] = {
            type(outcome) for outcome in await asyncio.gather(*readers, return_exceptions=True)
        }
        await asyncio.sleep(0.3)
        return outcomes

    def broken(*_: object) -> bytes:
        time.sleep(0.1)
        raise OSError(5, "Input/output error")

    (tmp_path / "kernel.img").write_bytes(b"x" * 70_000)
    with monkeypatch.context() as broken_card:
        broken_card.setattr(os, "preadv", broken)
        assert asyncio.run(story()) == {BootError if patient else asyncio.CancelledError}
    assert len(asyncio.run(find(files, "kernel.img")).content) == 70_000
    assert [record for record in caplog.records if record.levelno > logging.WARNING] == []


def test_no_memory_is_this_slots_problem(
    tmp_path: Path, files: BootFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bytes:
        raise MemoryError

    (tmp_path / "kernel.img").write_bytes(b"x" * 70_000)
    monkeypatch.setattr(os, "preadv", full)
    with pytest.raises(BootError, match=r"base/kernel\.img does not fit into memory"):
        asyncio.run(find(files, "kernel.img"))


# -- forgetting ------------------------------------------------------------------------------------


def test_an_idle_head_keeps_no_boot_files(tmp_path: Path, files: BootFiles) -> None:
    async def story() -> list[int]:
        read: list[int] = []
        for pause in (0.0, cache.QUIET - 1, cache.QUIET - 1, cache.QUIET + 1):
            await asyncio.sleep(pause)
            before = bytes_read()
            await find(files, "config.txt")
            read.append((bytes_read() - before) // 50_000)
        return read

    (tmp_path / "config.txt").write_bytes(b"x" * 50_000)
    assert clock.run(story()) == [1, 0, 0, 1]


def test_what_was_hashed_once_is_not_hashed_again(
    tmp_path: Path, files: BootFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[int] = []
    original = digests.sha256

    def counted(data: bytes | bytearray) -> str:
        hashed.append(len(data))
        return original(data)

    async def story() -> None:
        for content in (b"x" * 100_000, b"y" * 100_000):
            path.with_suffix(".new").write_bytes(content)
            path.with_suffix(".new").replace(path)
            for _ in range(3):
                before = bytes_read()
                await find(files, "kernel.img")
                assert bytes_read() - before >= 100_000, "it was forgotten"
                await asyncio.sleep(0)

    monkeypatch.setattr(digests, "sha256", counted)
    monkeypatch.setattr(cache, "QUIET", 0.0)
    path = tmp_path / "kernel.img"
    asyncio.run(story())
    assert hashed == [100_000, 100_000]


def test_nodes_do_not_wait_for_the_hash(
    tmp_path: Path, files: BootFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()

    def slow_hash(data: bytes | bytearray) -> str:
        assert go.wait(10)
        return f"of {len(data)}"

    async def story() -> tuple[str | None, str | None]:
        found = await files.find(SLOTS[0], "2710", "kernel.img")
        assert isinstance(found, Found)
        before = found.digest.known
        go.set()
        await found.digest.wait()
        return before, found.digest.known

    monkeypatch.setattr(digests, "sha256", slow_hash)
    (tmp_path / "kernel.img").write_bytes(b"x" * 70_000)
    assert asyncio.run(story()) == (None, "of 70000")
