"""`terrible hubs --probe`: whom it protects, which backends it tries, and what it remembers."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from terrible.cli import hubprobe
from terrible.cli.hubprobe import Machine, neighbours, probe, protected, refuse, report
from terrible.errors import HostError
from terrible.model import Location, Stage, Verdict
from terrible.policy import Neighbour
from terrible.power.probe import Probe
from terrible.power.prober import HubProber, Verdicts
from terrible.power.select import _verdict_against
from terrible.power.topology import Topology, ports_of
from terrible.power.verdict import Observed, remembered
from terrible.seams import HubPort
from terrible.state import State
from tests.clock import run

from .hubmachine import Head, Switch, slots

ROM_AT, EMPTY, NODE_AT, KEYBOARD_AT = (Location(f"1-1.{port}") for port in (1, 2, 3, 4))
GANG = ports_of("1-1", 4)


@pytest.fixture
def head(tmp_path: Path) -> Head:
    return Head(tmp_path / "sys")


@pytest.fixture
def machine(head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(hubprobe, "SYSFS", head.tree.root / "bus/usb/devices")

    async def answers(_: Location) -> bool | None:
        return None

    state = State(tmp_path / "state.json")
    verdicts = Verdicts(state.verdict)
    topology = Topology(head.tree.root)
    prober = HubProber(head, verdicts, head, topology, head, lambda: nullcontext(answers))
    return Machine(head, head, head, slots(), state, prober)


def refusal(machine: Machine, location: Location, *, together: frozenset[Location], force: bool) -> str:
    with pytest.raises(HostError) as caught:
        refuse(machine, location, Switch(together=together), force=force)
    return str(caught.value)


@pytest.mark.parametrize("location", [ROM_AT, EMPTY])
def test_an_empty_port_and_a_rom_may_be_probed(machine: Machine, location: Location) -> None:
    refuse(machine, location, Switch(together=frozenset({location})), force=False)


def test_a_running_node_at_the_port_is_named_and_force_overrides(machine: Machine) -> None:
    alone = frozenset({NODE_AT})
    said = refusal(machine, NODE_AT, together=alone, force=False)
    assert said.startswith("1-1.3 is not switched: that would cut the power of node3 at 1-1.3, which may run")
    assert said.endswith("or say --force")
    refuse(machine, NODE_AT, Switch(together=alone), force=True)


def test_a_running_neighbour_is_named_and_force_overrides(machine: Machine) -> None:
    both = frozenset({ROM_AT, NODE_AT})
    assert "node3 at 1-1.3" in refusal(machine, ROM_AT, together=both, force=False)
    refuse(machine, ROM_AT, Switch(together=both), force=True)


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_pi_is_named_and_force_does_not_override(machine: Machine, force: bool) -> None:
    for location, together in ((KEYBOARD_AT, frozenset({KEYBOARD_AT})), (ROM_AT, GANG)):
        said = refusal(machine, location, together=together, force=force)
        assert "a device that is no Pi at 1-1.4" in said
        assert "--force does not override this" in said


def test_what_sits_behind_a_hub_on_the_port_is_protected(machine: Machine) -> None:
    above = Location("1-1")
    said = refusal(machine, above, together=frozenset({above}), force=True)
    assert "a device that is no Pi at 1-1," in said
    assert "a device that is no Pi at 1-1.4" in said


def test_what_only_the_kernel_knows_is_protected(head: Head, machine: Machine) -> None:
    head.tree.plug("1-1.2", devnum=30)
    assert "no Pi at 1-1.2" in refusal(machine, EMPTY, together=frozenset({EMPTY}), force=True)


def test_neighbours_carry_the_names_of_their_slots(head: Head) -> None:
    names = {slot.location: slot.name for slot in slots()}
    assert neighbours(head, names, [EMPTY, ROM_AT])[1:] == [
        Neighbour(ROM_AT, Stage.ROM, "node1"),
        Neighbour(EMPTY, Stage.OTHER, "node2"),
        Neighbour(NODE_AT, Stage.GADGET, "node3"),
        Neighbour(KEYBOARD_AT, Stage.OTHER, "node4"),
    ]


@pytest.mark.parametrize("stage", [Stage.GADGET, Stage.DISK])
def test_a_node_without_a_slot_is_protected_too(stage: Stage) -> None:
    around = [Neighbour(NODE_AT, stage)]
    assert protected(NODE_AT, {NODE_AT}, around, force=False) == ["the node at 1-1.3"]
    assert protected(NODE_AT, {NODE_AT}, around, force=True) == []


# -- which backends, and what is kept ---------------------------------------------------------------


class Backends:
    """Probes that find what they are told, one backend after the other."""

    def __init__(self, machine: Machine) -> None:
        self.works: dict[str, bool] = {}
        self.tried: list[str] = []
        self._verdicts = machine.prober._verdicts

    async def port(self, location: Location) -> HubPort:
        """As the agent's choice does: passes over what a probe has found not to work."""
        known = self._verdicts.of(location)
        left = [name for name in self.works if not _verdict_against(name, known)]
        return Switch(left[0], together=frozenset({location})) if left else Switch("none", "nothing is left")

    def sees(self, work: Probe) -> Observed:
        self.tried.append(work.port.backend)
        if not self.works[work.port.backend]:
            work.seen.refused = "it would not"
        else:
            work.seen.off = 0.1
        return work.seen


@pytest.fixture
def backends(machine: Machine, head: Head, monkeypatch: pytest.MonkeyPatch) -> Backends:
    made = Backends(machine)

    async def probed(work: Probe) -> Observed:
        return made.sees(work)

    monkeypatch.setattr(Probe, "run", probed)
    monkeypatch.setattr(hubprobe, "_hangup_is_cancel", lambda: None)  # virtual time knows no signals
    monkeypatch.setattr(head, "port", made.port)
    return made


def probed(machine: Machine) -> tuple[Verdict, list[str]]:
    lines: list[str] = []
    return run(probe(machine, ROM_AT, lines.append, force=False)), lines


def test_a_backend_that_works_is_the_last_one_tried(machine: Machine, backends: Backends) -> None:
    backends.works = {"sysfs": True, "hub": True}
    found, lines = probed(machine)
    assert backends.tried == ["sysfs"]
    assert found == machine.state.verdict(ROM_AT)
    assert (found["backend"], found["works"], "others" in found) == ("sysfs", True, False)
    assert lines[0].startswith("probing 1-1.1 by sysfs: 12 s off")
    assert lines[-1].startswith("1-1.1  verdict     It works")


def test_what_an_earlier_probe_said_does_not_count(machine: Machine, backends: Backends) -> None:
    backends.works = {"sysfs": True, "hub": True}
    machine.state.set_verdict(ROM_AT, {"backend": "sysfs", "works": False, "when": 1})
    probed(machine)
    assert backends.tried == ["sysfs"]


def test_after_one_that_fails_the_next_is_tried_and_both_are_kept(
    machine: Machine, backends: Backends
) -> None:
    backends.works = {"sysfs": False, "hub": True}
    found, _ = probed(machine)
    assert backends.tried == ["sysfs", "hub"]
    assert (found["backend"], found["works"]) == ("hub", True)
    assert [(other["backend"], other["works"]) for other in found["others"]] == [("sysfs", False)]
    assert State(machine.state._path).verdict(ROM_AT) == found


def test_each_is_tried_once(machine: Machine, backends: Backends) -> None:
    backends.works = {"sysfs": False, "hub": False}
    found, _ = probed(machine)
    assert backends.tried == ["sysfs", "hub"]
    assert (found["backend"], found["works"]) == ("hub", False)


def test_a_single_backend_that_fails(machine: Machine, backends: Backends) -> None:
    backends.works = {"gpio": False}
    found, _ = probed(machine)
    assert backends.tried == ["gpio"]
    assert (found["backend"], found["works"], "others" in found) == ("gpio", False, False)


def test_a_port_without_a_switch(machine: Machine, backends: Backends) -> None:
    with pytest.raises(HostError, match="nothing is left"):
        probed(machine)
    assert machine.state.verdict(ROM_AT) is None


def test_a_refusal_touches_nothing(machine: Machine, backends: Backends) -> None:
    backends.works = {"hub": True}
    with pytest.raises(HostError, match=r"no Pi at 1-1\.4"):
        run(probe(machine, KEYBOARD_AT, print, force=True))
    assert backends.tried == []


# -- what is said ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "lines"),
    [
        (
            Observed("hub", Stage.ROM, Stage.ROM, off=0.04, gone=0.2, back=1.0, lingering=True),
            ["status bit  cleared after 0.0 s", "device      gone after 0.2 s", "kernel      kept the dead",
             "re-powered  no", "back        after 1.0 s as ROM", "verdict     It works"],
        ),
        (
            Observed("hub", Stage.ROM, answered=True, repowered=3.0),
            ["status bit  never cleared", "device      kept answering", "re-powered  by the kernel after 3",
             "back        not yet", "verdict     It does not work"],
        ),
        (Observed("hub", off=0.1), ["before      nothing known", "device      -", "back        -"]),
    ],
)  # fmt: skip
def test_the_report(seen: Observed, lines: list[str]) -> None:
    told = report("1-1.2", seen, remembered(seen, 0.0, ""))
    for line in lines:
        assert any(said.startswith(f"1-1.2  {line}") for said in told), (line, told)
