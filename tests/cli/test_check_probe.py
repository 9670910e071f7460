"""A look that never ends is left behind, and what was found before it hung is told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from terrible.cli.health.finding import Finding, Level, failed
from terrible.cli.health.probe import Probe, ask
from terrible.errors import HostError

FIRST = Finding(Level.OK, "hub", "there is one")
LATE = Finding(Level.ERROR, "hub", "no answer", "look at dmesg")
LIMIT = 0.2


def hangs() -> Iterator[Finding]:
    """As a process that no signal but SIGKILL reaches."""
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    yield FIRST
    signal.pause()


def test_what_was_found_in_time_is_told_and_then_that_the_rest_is_late() -> None:
    began = time.monotonic()
    assert ask(Probe(hangs, LIMIT, LATE)) == [FIRST, LATE]
    assert LIMIT <= time.monotonic() - began < LIMIT + 5


def test_what_comes_in_time_is_not_waited_for_any_longer() -> None:
    began = time.monotonic()
    assert ask(Probe(lambda: [FIRST, FIRST], 60, LATE)) == [FIRST, FIRST]
    assert time.monotonic() - began < 30


def test_an_error_of_ours_hides_nothing_else() -> None:
    def breaks() -> Iterator[Finding]:
        yield FIRST
        raise ZeroDivisionError("oh")

    first, second = ask(Probe(breaks, 60, LATE))
    assert first == FIRST
    assert (second.level, second.what) == (Level.ERROR, "hub")
    assert second.said == "the check itself failed: ZeroDivisionError: oh"


def test_a_look_that_dies_leaves_what_it_found() -> None:
    def dies() -> Iterator[Finding]:
        yield FIRST
        os.kill(os.getpid(), signal.SIGKILL)

    first, second = ask(Probe(dies, 60, LATE))
    assert first == FIRST
    assert (second.level, second.what) == (Level.ERROR, "hub")
    assert second.said == "the check itself failed: it ended too early"


def test_a_long_answer_arrives_whole() -> None:
    many = [Finding(Level.OK, "file", f"{number} " + "x" * 500) for number in range(1000)]
    assert ask(Probe(lambda: many, 60, LATE)) == many


@pytest.mark.parametrize("text", ["a\nFAIL  b", "\x1b[31mred", "\udcff", "\u202eback"])
def test_what_others_call_their_files_stays_on_its_line(text: str) -> None:
    finding = ask(Probe(lambda: [Finding(Level.NOTE, "file", text, text)], 60, LATE))[0]
    first, second = finding.lines()
    assert first.isprintable()
    assert second.isprintable()
    assert first.startswith("note  file        ")
    assert second.startswith("                  -> ")


def test_an_error_of_the_agent_says_after_its_semicolon_what_to_do() -> None:
    assert failed("lock", HostError("it is held; stop it")) == Finding(
        Level.ERROR, "lock", "it is held", "stop it"
    )
    assert failed("lock", HostError("it is held")).remedy != ""
