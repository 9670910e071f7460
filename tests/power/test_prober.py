"""Which switch is probed next, and that a probe step by step finds what one in a go does."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from terrible.errors import PowerError
from terrible.model import Location, Stage, Verdict
from terrible.power.probe import BACK
from terrible.power.prober import HubProber, Verdicts
from terrible.power.select import NoSwitch, _verdict_against
from terrible.power.topology import Topology
from terrible.seams import HubPort

from .clock import run
from .probeworld import HERE, Port, World
from .tree import Tree


class Choice:
    """Takes the best switch that no verdict is against, as `power.select` does."""

    def __init__(self, world: World, verdicts: Verdicts, *backends: str) -> None:
        self.verdicts = verdicts
        self._ports = [Port(world, backend) for backend in backends]

    async def port(self, location: Location) -> HubPort:
        known = self.verdicts.of(location)
        left = [port for port in self._ports if not _verdict_against(port.backend, known)]
        return left[0] if left else NoSwitch("nobody can switch it")


def against(backend: str, **more: Any) -> Verdict:
    return {"backend": backend, "works": False, "when": 1, "sentence": "It does not work.", **more}


def prober(world: World, remembered: Verdict | None, *backends: str) -> HubProber:
    verdicts = Verdicts(lambda _: remembered)
    choice = Choice(world, verdicts, *backends)
    return HubProber(
        choice, verdicts, world, Topology(world.tree.root), world, lambda: nullcontext(world.answers)
    )


def backends(made: HubProber) -> list[str]:
    """The switches of all trials, none of which finds one that works."""

    async def all_of() -> list[str]:
        names: list[str] = []
        found: Verdict | None = None
        while (trial := await made.trial(HERE, found)) is not None:
            names.append(trial.port.backend)
            trial.seen.refused = "it would not"
            found = trial.verdict()
        return names

    return run(all_of())


@pytest.mark.parametrize("remembered", [None, against("sysfs"), against("hub", others=[against("sysfs")])])
def test_each_switch_has_its_trial_whatever_is_remembered(tree: Tree, remembered: Verdict | None) -> None:
    assert backends(prober(World(tree), remembered, "sysfs", "hub")) == ["sysfs", "hub"]


def test_outside_of_a_trial_what_is_remembered_counts(tree: Tree) -> None:
    made = prober(World(tree), against("sysfs"), "sysfs", "hub")

    async def story() -> tuple[str, str]:
        trial = await made.trial(HERE, None)
        assert trial is not None
        return trial.port.backend, (await made._power.port(HERE)).backend

    assert run(story()) == ("sysfs", "hub")


def test_a_switch_that_the_configuration_names_is_tried_once(tree: Tree) -> None:
    world = World(tree)

    class Named:
        """Goes by no verdict."""

        async def port(self, _: Location) -> HubPort:
            return Port(world, "gpio")

    topology, verdicts = Topology(tree.root), Verdicts(lambda _: None)
    made = HubProber(Named(), verdicts, world, topology, world, lambda: nullcontext(world.answers))
    assert backends(made) == ["gpio"]


def test_where_there_is_no_switch_the_reason_is_told(tree: Tree) -> None:
    with pytest.raises(PowerError, match="nobody can switch it"):
        backends(prober(World(tree), None))


def test_what_failed_before_is_kept_in_the_verdict(tree: Tree) -> None:
    async def story() -> Verdict:
        made = prober(World(tree), None, "sysfs", "hub")
        trial = await made.trial(HERE, against("sysfs"))
        assert trial is not None
        await trial.off()
        assert await trial.on()
        return await trial.back()

    found = run(story())
    assert (found["backend"], found["works"], found["others"]) == ("hub", True, [against("sysfs")])


def stepwise(world: World) -> tuple[bool, dict[str, Any], float]:
    """Whether it went dark, what was found, and the seconds it took."""

    async def story() -> tuple[bool, dict[str, Any], float]:
        trial = await prober(world, None, "hub").trial(HERE, None)
        assert trial is not None
        start = asyncio.get_running_loop().time()
        dark = await trial.off()
        await trial.on()
        found = dict(await trial.back())
        return dark, found, asyncio.get_running_loop().time() - start

    return run(story())


@pytest.mark.parametrize("stage", [Stage.GADGET, Stage.ROM, None])
@pytest.mark.parametrize("lingers", [False, True])
def test_step_by_step_finds_what_one_go_does(
    tree: Tree, tmp_path: Path, stage: Stage | None, lingers: bool
) -> None:
    steps, whole = World(tree, stage), World(Tree(tmp_path / "another"), stage)
    steps.lingers = whole.lingers = lingers
    dark, found, _ = stepwise(steps)
    probe = whole.probe(Port(whole))
    run(probe.run())
    assert dark
    assert {**found, "when": 0} == {**probe.verdict(), "when": 0}


def test_what_runs_on_is_told_and_not_waited_for(tree: Tree) -> None:
    world = World(tree)
    world.disconnects = False
    dark, found, seconds = stepwise(world)
    assert (dark, found["cuts"]) == (False, False)
    assert seconds < BACK


def test_a_kernel_that_powers_what_never_left_does_not_make_a_ghost_of_it(tree: Tree) -> None:
    world = World(tree)
    world.disconnects, world.repowers, world.repowers_after = False, 1, 4.0
    assert stepwise(world)[0] is False


def test_off_alone_leaves_the_port_dark(tree: Tree) -> None:
    """It is the slot's turn that gives power back, or nobody does."""

    async def story(world: World) -> bool:
        trial = await prober(world, None, "hub").trial(HERE, None)
        assert trial is not None
        await trial.off()
        return world.lit()

    assert run(story(World(tree))) is False
