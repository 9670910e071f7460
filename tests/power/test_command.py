"""Slots switched by commands: what is run, for how long, and what its end means. Real child processes."""

from __future__ import annotations

import asyncio
import os
import select
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrible import commands
from terrible.commands import fill, last_line
from terrible.errors import HostError, PowerError
from terrible.model import Location, Slot
from terrible.power import command
from terrible.power.command import CommandPort, CommandPower, Commands
from terrible.seams import HubPort

SLOT = Slot("node2", 2, Location("1-1.2"), "", "")
TRUE, FALSE = ["true"], ["false"]


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def port(
    on: list[str] = TRUE, off: list[str] = TRUE, status: list[str] | None = None, timeout: float = 10.0
) -> HubPort:
    commands = Commands(on, off, status, timeout)
    return asyncio.run(CommandPower({SLOT.location: SLOT}, commands).port(SLOT.location))


def refused(switch: HubPort, on: bool) -> str:
    with pytest.raises(PowerError) as caught:
        asyncio.run(switch.switch(on))
    return str(caught.value)


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two looks at the status, and hardly a pause."""
    monkeypatch.setattr(command, "SETTLE", 0.02)
    monkeypatch.setattr(command, "STEP", 0.01)


def test_what_it_says_of_itself() -> None:
    switch = port()
    assert switch.backend == "command"
    assert switch.why == "the configuration names the commands that switch this slot"
    assert switch.affects() == {"1-1.2"}


def test_on_and_off_run_their_own_command_with_the_slot_filled_in(tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = ["sh", "-c", f'echo "$0" "$@" >> {log}', "-o", "{slot}", "at={location}", "#{number}/{number}"]
    switch = port(on=[*words, "on"], off=[*words, "off"])
    asyncio.run(switch.switch(True))
    asyncio.run(switch.switch(False))
    assert log.read_text() == "-o node2 at=1-1.2 #2/2 on\n-o node2 at=1-1.2 #2/2 off\n"


def test_no_shell_reads_the_words(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    out = tmp_path / "out"
    writer = "import sys; open(sys.argv[1], 'w').write(repr(sys.argv[2:]))"
    words = [f"; touch {canary}", "$HOME", "*", "a b", "`id`"]
    asyncio.run(port(on=[sys.executable, "-c", writer, str(out), *words]).switch(True))
    assert out.read_text() == repr(words)
    assert not canary.exists()


def test_braces_that_are_no_placeholder_stay() -> None:
    assert fill(['{"on": true}', "{}", "{ slot }", "{{slot}}"], SLOT) == [
        '{"on": true}',
        "{}",
        "{ slot }",
        "{node2}",
    ]


@pytest.mark.parametrize(("status", "powered"), [(0, True), (1, False), (2, None), (255, None)])
def test_the_exit_code_of_status_tells(status: int, powered: bool | None) -> None:
    assert asyncio.run(port(status=sh(f"exit {status}")).powered()) is powered


def test_nobody_can_tell_without_a_status_or_when_it_fails() -> None:
    assert asyncio.run(port().powered()) is None
    assert asyncio.run(port(status=sh("kill -9 $$")).powered()) is None
    assert asyncio.run(port(status=sh("sleep 60"), timeout=0.1).powered()) is None


def test_a_switch_is_verified_by_its_status(tmp_path: Path) -> None:
    plug = tmp_path / "plug"
    switch = port(on=["touch", str(plug)], off=["rm", str(plug)], status=["test", "-e", str(plug)])
    asyncio.run(switch.switch(True))
    assert asyncio.run(switch.powered()) is True
    asyncio.run(switch.switch(False))
    assert asyncio.run(switch.powered()) is False
    assert not plug.exists()


@pytest.mark.usefixtures("brisk")
@pytest.mark.parametrize(("status", "on", "said"), [(0, False, "0"), (1, True, "1"), (3, False, "3")])
def test_a_status_that_does_not_follow_is_a_power_error(status: int, on: bool, said: str) -> None:
    error = refused(port(status=sh(f"echo still warm >&2; exit {status}")), on)
    word = "on" if on else "off"
    assert error == (
        f"node2 was switched {word}, but its status command does not say so: exit code {said}: still warm"
    )


@pytest.mark.usefixtures("brisk")
def test_a_status_may_follow_a_little_later(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    asyncio.run(port(status=sh(f"test -e {asked} || {{ touch {asked}; exit 1; }}")).switch(True))


@pytest.mark.usefixtures("brisk")
def test_a_command_that_failed_is_not_asked_for_its_status(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    refused(port(off=FALSE, status=["touch", str(asked)]), on=False)
    assert not asked.exists()


def test_a_failure_shows_exit_code_and_last_line_without_control_characters() -> None:
    script = r"echo first >&2; printf 'no \033[31mrelay\007 \377 there\n\n  \n' >&2; exit 7"
    assert refused(port(off=sh(script)), on=False) == (
        r"the command that switches node2 off ended with exit code 7: no \x1b[31mrelay\x07 \xff there"
    )


def test_a_signal_is_named() -> None:
    assert refused(port(on=sh("kill -15 $$")), on=True) == (
        "the command that switches node2 on ended with signal 15"
    )


def test_a_talkative_child_is_read_to_its_end() -> None:
    talk = "import sys; sys.stderr.write(('x' * 99 + '\\n') * 9999); sys.exit('the end')"
    error = refused(port(on=[sys.executable, "-c", talk]), on=True)
    assert error.endswith("exit code 1: the end")


def test_a_command_that_hangs_is_killed_with_all_its_children(tmp_path: Path) -> None:
    fifo = tmp_path / "held"
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        error = refused(port(off=sh(f"exec 3>{fifo}; sleep 600 & sleep 600 & wait"), timeout=0.5), on=False)
        assert error == "power.command.off for node2 did not end within 0.5 s and was killed"
        assert select.select([held], [], [], 5.0)[0], "a child still holds the pipe"
        assert os.read(held, 1) == b""
    finally:
        os.close(held)


def test_a_command_that_ends_may_leave_something_running(tmp_path: Path) -> None:
    """As ssh leaves a master connection, which keeps our pipe open: it is neither waited for nor killed."""
    stop = tmp_path / "stop"
    os.mkfifo(stop)
    asyncio.run(port(on=sh(f"cat {stop} >&2 &"), timeout=5.0).switch(True))
    with stop.open("w") as left:  # blocks if nobody reads
        left.write("bye\n")


def test_a_cancelled_switch_leaves_nothing_behind(tmp_path: Path) -> None:
    fifo = tmp_path / "held"
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    switch = port(on=sh(f"exec 3>{fifo}; echo up >&3; sleep 600"))

    async def cancelled() -> None:
        loop = asyncio.get_running_loop()
        up = asyncio.Event()
        loop.add_reader(held, up.set)
        task = asyncio.create_task(switch.switch(True))
        await up.wait()
        loop.remove_reader(held)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    try:
        asyncio.run(cancelled())
        assert os.read(held, 9) == b"up\n"
        assert select.select([held], [], [], 5.0)[0], "the child still holds the pipe"
        assert os.read(held, 1) == b""
    finally:
        os.close(held)


def test_no_descriptor_is_left_open() -> None:
    async def many() -> list[int]:
        switch = CommandPort(SLOT, Commands(TRUE, FALSE, sh("exit 0"), 5.0))
        counts = []
        for _ in range(3):
            await switch.switch(True)
            with pytest.raises(PowerError):
                await switch.switch(False)
            await asyncio.sleep(0)
            counts.append(len(os.listdir("/proc/self/fd")))
        return counts

    first, _, last = asyncio.run(many())
    assert first == last


@pytest.mark.parametrize("key", ["on", "off", "status"])
def test_a_program_that_is_not_there_stops_the_start(key: str) -> None:
    commands = {"on": TRUE, "off": TRUE, "status": TRUE, key: ["no-such-plugctl", "on"]}
    with pytest.raises(HostError) as caught:
        port(commands["on"], commands["off"], commands["status"])
    assert str(caught.value) == (
        f"power.command.{key}: there is no program 'no-such-plugctl' that this user can run; "
        "install it, or name it with its full path"
    )


def test_a_program_that_went_away_later_is_a_power_error(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    switch = port(on=[str(tool)])
    tool.unlink()
    assert refused(switch, on=True) == (
        f"power.command.on for node2 cannot be run: {tool}: No such file or directory"
    )


@given(st.binary(max_size=600))
def test_whatever_a_child_says_makes_one_printable_line(data: bytes) -> None:
    line = last_line(data)
    assert line.isprintable()
    assert len(line) <= 10 * commands.SHOWN
