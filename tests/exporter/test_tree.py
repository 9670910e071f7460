"""What an exporter makes of messages: gauges of the agent that is there, counters of what is new."""

from __future__ import annotations

from dataclasses import replace

import pytest

from terrible.exporter.tree import Tree
from terrible.model import Event, Phase
from tests.mqtt.examples import INFO, SLOTS, report

from .telling import CLUSTER, Teller, attempt, of, power, series, started


def attempts(tree: Tree) -> float:
    return sum(of(tree, "terrible_boot_attempts_total"))


# -- gauges ---------------------------------------------------------------------------------------


def test_a_node_is_in_one_phase_and_the_sum_over_nodes_is_how_many_are() -> None:
    tree, teller = started()
    teller.tell(report(SLOTS[1], Phase.LOST))
    said = series(tree)
    lost = {node: said["terrible_node_phase", CLUSTER, node, "lost"] for node in ("node1", "node2")}
    assert lost == {"node1": 0, "node2": 1}
    assert sum(of(tree, "terrible_node_phase", CLUSTER, "node2")) == 1
    assert sum(said["terrible_node_phase", CLUSTER, slot.name, "up"] for slot in SLOTS) == 3
    assert [said["terrible_node_up", CLUSTER, node] for node in ("node1", "node2")] == [1, 0]


def test_a_node_that_is_to_be_off_is_not_wanted() -> None:
    tree, teller = started()
    teller.tell(replace(report(SLOTS[0], Phase.OFF), wish=False))
    assert of(tree, "terrible_node_wanted", CLUSTER, "node1") == [0]
    assert of(tree, "terrible_node_wanted", CLUSTER, "node2") == [1]


def test_an_agent_tells_who_it_is_and_since_when() -> None:
    tree, _ = started()
    said = series(tree)
    assert said["terrible_agent_info", CLUSTER, INFO.host, INFO.version] == 1
    assert said["terrible_agent_start_time_seconds", CLUSTER] == INFO.started


def test_an_agent_that_has_gone_leaves_no_node_frozen_at_up() -> None:
    tree, teller = started()
    teller.online(False)
    assert of(tree, "terrible_agent_up") == [0]
    for name in ("node_up", "node_wanted", "node_phase", "agent_info", "agent_start_time_seconds"):
        assert of(tree, f"terrible_{name}") == []
    teller.starts()
    assert of(tree, "terrible_node_up") == [1] * 4


def test_an_agent_that_comes_back_is_not_known_before_it_says_who_it_is() -> None:
    tree, teller = started()
    teller.online(False)
    teller.online()
    assert of(tree, "terrible_agent_up") == [1]
    assert of(tree, "terrible_node_up") == of(tree, "terrible_agent_info") == []


def test_nothing_is_known_without_a_broker_but_what_was_counted() -> None:
    tree, teller = started()
    teller.attempted(attempt(1))
    tree.cut()
    said = series(tree, connected=False)
    assert said["terrible_broker_up",] == 0
    assert said["terrible_agent_up", CLUSTER] == 0
    assert of(tree, "terrible_node_up") == []
    assert attempts(tree) == 1


def test_what_an_agent_before_has_left_behind_is_not_taken_for_how_nodes_are() -> None:
    tree = Tree()
    Teller(tree, session="old").tell(*(report(slot) for slot in SLOTS))
    teller = Teller(tree, session="new")
    teller.online()
    teller.tell(INFO, report(SLOTS[0]))
    assert {key[2] for key in series(tree) if key[0] == "terrible_node_up"} == {"node1"}


@pytest.mark.parametrize("how", ["cleared", "not named by the next agent"])
def test_a_slot_that_is_gone_disappears_with_its_counters(how: str) -> None:
    tree, teller = started()
    teller.attempted(attempt(1))
    if how == "cleared":
        teller.clear("node/node1/state")
    else:
        Teller(tree, session="s2").tell(replace(INFO, slots=SLOTS[1:]))
    assert not [key for key in series(tree) if "node1" in key]
    assert [key for key in series(tree) if "node2" in key]


def test_a_cluster_that_was_cleared_away_is_gone_in_whatever_order() -> None:
    tree, teller = started()
    for topic in ("node/node1/state", "status", "info", "node/node2/state"):
        teller.clear(topic)
    assert tree.clusters == {}


def test_clusters_of_one_broker_do_not_mix() -> None:
    tree, _ = started()
    Teller(tree, "other").starts(report(SLOTS[0], Phase.LOST))
    assert of(tree, "terrible_node_up", "other") == [0]
    assert of(tree, "terrible_node_up", CLUSTER) == [1] * 4


def test_a_cluster_that_was_asked_for_is_said_to_be_away_before_anything_was_heard() -> None:
    tree = Tree()
    tree.expect("rack-9")
    assert of(tree, "terrible_agent_up", "rack-9") == [0]


# -- counters -------------------------------------------------------------------------------------


def test_a_transcript_that_was_there_before_is_not_counted() -> None:
    tree, teller = started()
    teller.tell(attempt(7))
    assert attempts(tree) == 0
    teller.attempted(attempt(8))
    assert attempts(tree) == 1


def test_the_very_first_attempt_of_a_slot_is_counted() -> None:
    tree, teller = started()
    teller.attempted(attempt(1))
    assert of(tree, "terrible_boot_attempts_total", CLUSTER, "node1", "up") == [1]


def test_an_event_of_another_attempt_proves_nothing() -> None:
    tree, teller = started()
    teller.tell(attempt(7), Event(SLOTS[0], "up", "", {"seconds": 1.5}))
    teller.tell(Event(SLOTS[0], "failed", "", {"seconds": attempt(7).seconds}))
    assert attempts(tree) == 0


def test_a_transcript_is_counted_once_however_often_it_is_told() -> None:
    tree, teller = started()
    teller.attempted(attempt(1))
    teller.attempted(attempt(2))
    for _ in range(3):
        tree.cut()
        teller.starts()
        teller.attempted(attempt(1))  # a broker restored from a file
        teller.attempted(attempt(2))
    assert attempts(tree) == 2


def test_what_ended_while_the_broker_was_away_is_counted() -> None:
    tree, teller = started()
    teller.attempted(attempt(1))
    tree.cut()
    teller.starts()
    teller.tell(attempt(2, "failed", diagnosis="the ROM stalled a transfer"))
    assert attempts(tree) == 2


def test_an_agent_that_counts_from_one_again_makes_new_attempts() -> None:
    tree, teller = started()
    teller.attempted(attempt(1))
    again = Teller(tree, session="s2")
    again.starts()
    again.attempted(attempt(1, started=9000.0))
    assert attempts(tree) == 2


def test_failures_are_counted_by_why_and_what_was_ended_on_purpose_is_none() -> None:
    tree, teller = started()
    for number, outcome in enumerate(("up", "failed", "failed", "stopped", "left", "dreamt"), start=1):
        teller.attempted(attempt(number, outcome, diagnosis=f"nothing moved for {number} s"))
    said = series(tree)
    fails = {key: value for key, value in said.items() if key[0] == "terrible_boot_failures_total"}
    assert fails == {("terrible_boot_failures_total", CLUSTER, "nothing moved for * s"): 2}
    by_outcome = {
        key[3]: value
        for key, value in said.items()
        if key[:3] == ("terrible_boot_attempts_total", CLUSTER, "node1")
    }
    assert by_outcome == {"up": 1, "disk": 0, "failed": 2, "left": 1, "stopped": 1, "other": 1}


def test_bytes_are_those_of_all_files_of_all_attempts() -> None:
    tree, teller = started()
    teller.attempted(attempt(1))
    teller.attempted(attempt(2, "failed"))
    assert of(tree, "terrible_boot_served_bytes_total", CLUSTER, "node1") == [2000]


def test_stages_are_those_that_were_passed_and_gadget_is_the_way_from_it_to_up() -> None:
    tree, teller = started()
    teller.attempted(attempt(1))
    teller.attempted(attempt(2, "failed"))
    said = series(tree)
    name = "terrible_boot_stage_duration_seconds"
    sums = {stage: said[f"{name}_sum", CLUSTER, stage] for stage in ("rom", "loader", "starting", "gadget")}
    assert sums == {"rom": 4.0, "loader": 8.0, "starting": 20.0, "gadget": 7.0}
    assert said[f"{name}_count", CLUSTER, "rom"] == 2
    assert said[f"{name}_bucket", CLUSTER, "1.0", "rom"] == 0
    assert said[f"{name}_bucket", CLUSTER, "2.5", "rom"] == 2
    assert said[f"{name}_bucket", CLUSTER, "20.0", "starting"] == 1, "a bound belongs to its bucket"


def test_a_node_that_was_found_running_says_nothing_about_how_long_boots_take() -> None:
    tree, teller = started()
    whole = attempt(1)
    teller.attempted(replace(whole, stages=whole.stages[4:]))
    assert attempts(tree) == 1
    assert sum(of(tree, "terrible_boot_stage_duration_seconds_count")) == 0


def test_power_that_comes_back_is_a_cycle_whatever_is_unknown_in_between() -> None:
    tree, teller = started()
    teller.tell(*map(power, (True, False, False, None, True, True, None, True)))
    assert of(tree, "terrible_node_power_cycles_total", CLUSTER, "node1") == [1]
    teller.tell(power(False))
    tree.cut()
    teller.starts(power(True))
    assert of(tree, "terrible_node_power_cycles_total", CLUSTER, "node1") == [2]
