"""Why a switch was chosen, and what people and probes have to say about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from terrible.model import Location
from terrible.power.client import PortHelper
from terrible.power.select import BestPower
from terrible.power.topology import Topology

from .choosing import HERE, SOCKET, Kernel, chosen, refused, two_sided
from .clock import run
from .fakehub import FakeHub
from .tree import Tree

# -- why ----------------------------------------------------------------------------------------------


def test_why_by_the_kernel(tree: Tree) -> None:
    assert chosen(tree, FakeHub()).why == (
        "the kernel's disable attribute (per-port switching), which tells every driver and keeps the port off"
    )


def test_why_by_class_requests(tree: Tree, tmp_path: Path) -> None:
    nobody = tmp_path / "port.sock"
    power = BestPower(Topology(tree.root), PortHelper(nobody), FakeHub())
    assert run(power.port(HERE)).why == (
        "class requests to hub 1-1 (per-port switching); not the kernel's disable attribute: "
        f"no answer from the helper at {nobody}: [Errno 2] No such file or directory"
    )
    tree.disable(HERE).unlink()
    assert chosen(tree, FakeHub(characteristics=0)).why == (
        "class requests to hub 1-1 (ganged switching, all 4 ports together); not the kernel's disable "
        "attribute: this kernel has none for 1-1.2, Linux 6.0 and later have"
    )


def test_why_names_the_other_side(tree: Tree) -> None:
    port = chosen(tree, two_sided(tree), Kernel(tree, SOCKET), Location("1-2"))
    assert "(per-port switching, with the other side of a USB 3 hub, 2-2)" in port.why


# -- what people and probes say about it --------------------------------------------------------------


def test_a_configuration_may_ask_for_class_requests(tree: Tree) -> None:
    port = chosen(tree, FakeHub(), only="hub")
    assert port.backend == "hub"
    assert port.why == (
        "class requests to hub 1-1 (per-port switching); "
        "not the kernel's disable attribute: the configuration asks for class requests"
    )


def test_a_configuration_may_ask_for_the_kernel(tree: Tree) -> None:
    assert chosen(tree, FakeHub(), only="sysfs").backend == "sysfs"
    port = chosen(tree, FakeHub(), Kernel(tree, frozenset()), only="sysfs")
    assert port.backend == "none"
    assert port.why == (
        "the power of 1-1.2 cannot be switched; not the kernel's disable attribute: not configured; "
        "not class requests: the configuration asks for the kernel's disable attribute"
    )
    assert refused(lambda: port.switch(on=False)) == port.why


def test_a_configuration_may_not_ask_for_anything_else(tree: Tree) -> None:
    with pytest.raises(ValueError, match="only is one of sysfs, hub, not gpio"):
        chosen(tree, FakeHub(), only="gpio")


NOON = 1_700_000_000
"""2023-11-14, in any time zone that a test may run in, or the day after."""


def probed(backend: str, works: bool, **more: Any) -> dict[str, Any]:
    return {"backend": backend, "works": works, "when": NOON} | more


def test_what_a_probe_saw_fail_is_not_taken(tree: Tree) -> None:
    said = "It does not work: the hub never reported the port without power."
    verdicts = {HERE: probed("sysfs", False, sentence=said)}
    port = chosen(tree, FakeHub(), verdict=verdicts.get)
    assert port.backend == "hub"
    assert "not the kernel's disable attribute: a probe on 2023-11-1" in port.why
    assert port.why.endswith("showed that it does not work: the hub never reported the port without power")


def test_nothing_is_left_when_a_probe_saw_the_last_one_fail(tree: Tree) -> None:
    tree.disable(HERE).unlink()
    hub = FakeHub()
    port = chosen(tree, hub, verdict=lambda _: probed("hub", False))
    assert port.backend == "none"
    assert "not class requests: a probe on 2023-11-1" in port.why
    assert "showed that it does not work" in refused(lambda: port.switch(on=False))
    assert hub.switched == []


@pytest.mark.parametrize(
    "verdict", [probed("sysfs", True), probed("gpio", False), {"backend": "sysfs", "works": False}, {}, None]
)
def test_other_verdicts_change_nothing(tree: Tree, verdict: dict[str, Any] | None) -> None:
    assert chosen(tree, FakeHub(), verdict=lambda _: verdict).backend == "sysfs"


def test_a_new_verdict_is_heard_at_once(tree: Tree) -> None:
    verdicts: dict[Location, dict[str, Any]] = {}
    power = BestPower(Topology(tree.root), Kernel(tree), FakeHub(), verdict=verdicts.get)
    assert run(power.port(HERE)).backend == "sysfs"
    verdicts[HERE] = probed("sysfs", False)
    assert run(power.port(HERE)).backend == "hub"
    verdicts[HERE] = probed("sysfs", True)
    assert run(power.port(HERE)).backend == "sysfs"
