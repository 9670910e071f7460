"""Decisions as tables: retry when, give up when, what may be cut, who may start now."""

from __future__ import annotations

import pytest

from terrible import policy
from terrible.limits import Limits
from terrible.model import Location, Phase, Stage
from terrible.policy import HOUR, Neighbour, Schedule

LIMITS = Limits()
OWN = Location("1-1.2")
NEXT = Location("1-1.3")


@pytest.mark.parametrize(("failures", "seconds"), [(1, 10), (2, 30), (3, 60), (4, 60), (100, 60)])
def test_pauses_grow_and_stay_at_the_longest(failures: int, seconds: float) -> None:
    assert policy.pause(failures, LIMITS) == seconds


def test_pauses_can_be_left_out() -> None:
    assert policy.pause(1, Limits(pauses=())) == 0


@pytest.mark.parametrize(
    ("failures", "attempts", "spent"),
    [(0, 3, False), (1, 3, False), (2, 3, False), (3, 3, True), (4, 3, True), (1, 1, True)],
)
def test_attempts_are_spent(failures: int, attempts: int, spent: bool) -> None:
    assert policy.gives_up(failures, Limits(attempts=attempts)) is spent


def test_one_flap_costs_nothing_and_many_at_most_ten_seconds() -> None:
    waits = [policy.settle(flaps) for flaps in range(50)]
    assert waits[:3] == [0, 0, 1]
    assert waits == sorted(waits)
    assert waits[-1] == 10


# -- who would be hurt ----------------------------------------------------------------------------------


def neighbour(
    location: str, stage: Stage | None = None, phase: Phase | None = None, name: str = "node3"
) -> Neighbour:
    return Neighbour(Location(location), stage, name if phase else "", phase)


RUNNING = {
    Phase.STARTING: True,
    Phase.UP: True,
    Phase.LOST: True,
    Phase.DISK: True,
    Phase.FLASHING: True,
    Phase.OFF: False,
    Phase.WAITING: False,
    Phase.ROM: False,
    Phase.LOADING: False,
    Phase.HALTED: False,
    Phase.FAILED: False,
    Phase.QUARANTINED: False,
}


def test_every_phase_is_in_the_table() -> None:
    assert set(RUNNING) == set(Phase)


@pytest.mark.parametrize(("phase", "runs"), RUNNING.items())
def test_a_neighbour_in_the_gang_is_hurt_while_it_runs(phase: Phase, runs: bool) -> None:
    hurt = policy.hurt(OWN, [OWN, NEXT], [neighbour(NEXT, None, phase)])
    assert hurt == (["node3 at 1-1.3"] if runs else [])


@pytest.mark.parametrize("phase", Phase)
def test_the_own_node_is_what_a_cut_is_for(phase: Phase) -> None:
    for stage in {*Stage, None} - {Stage.OTHER}:
        assert policy.hurt(OWN, [OWN], [neighbour(OWN, stage, phase, "node2")]) == []


@pytest.mark.parametrize("affects", [[OWN], [OWN, NEXT]])
def test_whoever_keeps_its_power_is_not_asked(affects: list[Location]) -> None:
    others = [neighbour("1-1.4", Stage.GADGET, Phase.UP), neighbour("1-1", Stage.OTHER)]
    assert policy.hurt(OWN, affects, others) == []


@pytest.mark.parametrize(
    ("affects", "there", "who"),
    [
        ([OWN], neighbour(OWN, Stage.OTHER), "a device that is no Pi at 1-1.2"),
        ([OWN], neighbour(OWN, Stage.OTHER, Phase.WAITING, "node2"), "a device that is no Pi at 1-1.2"),
        ([OWN], neighbour("1-1.2.1", Stage.OTHER), "a device that is no Pi at 1-1.2.1"),
        ([OWN], neighbour("1-1.2.4", Stage.GADGET), "a node at 1-1.2.4"),
        ([OWN], neighbour("1-1.2.4.1", None, Phase.UP), "node3 at 1-1.2.4.1"),
        ([OWN, NEXT], neighbour(NEXT, Stage.OTHER), "a device that is no Pi at 1-1.3"),
        ([OWN, NEXT], neighbour("1-1.3.1", Stage.OTHER), "a device that is no Pi at 1-1.3.1"),
        ([OWN, NEXT], neighbour(NEXT, Stage.GADGET), "a node at 1-1.3"),
        ([OWN, NEXT], neighbour(NEXT, Stage.DISK), "a node at 1-1.3"),
        ([OWN, NEXT], neighbour(NEXT, Stage.GADGET, Phase.WAITING), "node3 at 1-1.3"),
        ([OWN, NEXT], neighbour(NEXT, Stage.ROM, Phase.UP), "node3 at 1-1.3"),
        ([OWN, Location("2-1.2")], neighbour("2-1.2", Stage.OTHER), "a device that is no Pi at 2-1.2"),
    ],
)
def test_who_is_hurt(affects: list[Location], there: Neighbour, who: str) -> None:
    """OTHER is a keyboard, a network adapter, the root disk, or the hub on the port."""
    assert policy.hurt(OWN, affects, [there]) == [who]


@pytest.mark.parametrize(
    "there",
    [
        neighbour(NEXT, Stage.ROM, Phase.ROM),
        neighbour(NEXT, Stage.LOADER, Phase.LOADING),
        neighbour(NEXT, Stage.ROM),
        neighbour(NEXT, None, Phase.WAITING),
        neighbour("1-1.20", Stage.OTHER),  # not behind 1-1.2
    ],
)
def test_who_is_not_hurt(there: Neighbour) -> None:
    assert policy.hurt(OWN, [OWN, NEXT], [there]) == []


@pytest.mark.parametrize(
    ("phase", "stage", "awaited", "boots"),
    [
        (Phase.ROM, Stage.ROM, False, True),
        (Phase.LOADING, Stage.LOADER, False, True),
        (Phase.WAITING, Stage.ROM, False, True),
        (Phase.WAITING, Stage.LOADER, False, True),
        (Phase.WAITING, None, True, True),
        (Phase.WAITING, None, False, False),
        (Phase.OFF, Stage.ROM, True, False),
        (Phase.FAILED, Stage.ROM, True, False),
        (Phase.QUARANTINED, Stage.ROM, True, False),
    ],
)
def test_who_boots_or_is_about_to_is_hurt_by_a_cut_for_good_and_by_no_other(
    phase: Phase, stage: Stage | None, awaited: bool, boots: bool
) -> None:
    there = Neighbour(NEXT, stage, "node3", phase, awaited=awaited)
    assert policy.hurt(OWN, [OWN, NEXT], [there]) == []
    assert bool(policy.hurt(OWN, [OWN, NEXT], [there], for_good=True)) is boots


def test_everyone_who_is_hurt_is_named() -> None:
    others = [neighbour("1-1.4", Stage.GADGET, Phase.UP, "node4"), neighbour("1-1.5", Stage.OTHER)]
    gang = [OWN, Location("1-1.4"), Location("1-1.5")]
    assert policy.hurt(OWN, gang, others) == ["node4 at 1-1.4", "a device that is no Pi at 1-1.5"]


def test_force_gives_up_other_nodes_but_nothing_that_is_no_pi() -> None:
    nodes = [neighbour(NEXT, Stage.GADGET, Phase.UP), neighbour("1-1.3.1", Stage.DISK)]
    keyboards = [neighbour(OWN, Stage.OTHER), neighbour("1-1.3.2", Stage.OTHER)]
    assert policy.hurt(OWN, [OWN, NEXT], nodes + keyboards, force=True) == [
        "a device that is no Pi at 1-1.2",
        "a device that is no Pi at 1-1.3.2",
    ]


def test_a_port_that_cannot_switch_hurts_nobody() -> None:
    assert policy.hurt(OWN, [], [neighbour(OWN, Stage.OTHER), neighbour(NEXT, None, Phase.UP)]) == []


# -- who may start now ----------------------------------------------------------------------------------


def test_power_ons_are_a_stagger_apart() -> None:
    schedule = Schedule(Limits(stagger=1.0))
    assert schedule.wait("node1", 100.0) == 0
    schedule.start("node1", 100.0, cycle=False)
    assert schedule.wait("node2", 100.25) == 0.75
    assert schedule.wait("node2", 101.0) == 0
    assert schedule.wait("node2", 500.0) == 0


def test_a_cold_boot_more_has_to_wait_for_the_end_of_one() -> None:
    schedule = Schedule(Limits(cold_boots=2))
    for number in (1, 2):
        schedule.start(f"node{number}", float(number), cycle=False)
    assert schedule.wait("node3", 1000.0) is None
    assert schedule.wait("node2", 1000.0) == 0, "it has its place already"
    schedule.end("node1")
    schedule.end("never started")
    assert schedule.wait("node3", 1000.0) == 0


def test_cycles_of_a_slot_are_apart_and_few_in_any_hour() -> None:
    schedule = Schedule(Limits(cycle_every=30.0, cycles_per_hour=3))
    assert schedule.rest("node1", 0.0, cycle=True) == 0
    for second in (0.0, 30.0, 100.0):
        assert schedule.rest("node1", second, cycle=True) == 0
        schedule.start("node1", second, cycle=True)
        assert schedule.rest("node1", second + 10, cycle=True) >= 20
    assert schedule.rest("node1", 110.0, cycle=True) == HOUR - 110
    assert schedule.rest("node1", HOUR, cycle=True) == 0
    schedule.start("node1", HOUR, cycle=True)
    assert schedule.rest("node1", HOUR + 1, cycle=True) == 29
    assert schedule.rest("node1", HOUR + 29.5, cycle=True) == 0.5
    assert schedule.rest("node2", 110.0, cycle=True) == 0, "another slot's cycles are its own affair"


def test_a_first_power_on_is_no_cycle() -> None:
    schedule = Schedule(LIMITS)
    schedule.start("node1", 0.0, cycle=False)
    assert schedule.rest("node1", 0.0, cycle=True) == 0
