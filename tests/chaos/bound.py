"""How long a slot may stay in one phase: what the named limits add up to, and nothing else."""

from __future__ import annotations

from terrible.limits import Limits
from terrible.model import Phase
from terrible.policy import HOUR
from terrible.sim.faults import HEAL_EVERY

SETTLE = 10.0
"""Seconds that a flapping plug is left alone at most (`policy.settle`)."""


def longest(phase: Phase, limits: Limits, slots: int, messages: int) -> float:
    """Seconds that a slot may show `phase` without a word why; one of `slots`, its boot of `messages`."""
    heard = 2 * HEAL_EVERY
    rom = (limits.restarts + 1) * (transfers(6, limits) + limits.rom_to_loader + heard)
    loading = transfers(messages, limits)
    starting = limits.loader_to_gadget + limits.gadget_to_up + heard
    boot = limits.power_on_to_rom + rom + loading + starting
    turn = limits.cycle_every + slots * limits.stagger + slots // limits.cold_boots * boot
    pause = max(limits.off_time, *limits.pauses)
    return {
        Phase.ROM: rom,
        Phase.LOADING: loading,
        Phase.STARTING: starting,
        Phase.FAILED: pause + turn + HOUR,
        Phase.OFF: pause + turn + HOUR,
    }.get(phase, limits.power_on_to_rom + turn + heard + SETTLE + limits.shutdown)


def transfers(count: int, limits: Limits) -> float:
    """Seconds that so many transfers take at most."""
    return count * max(limits.control_in, limits.control_out, limits.bulk_out)


def settles(limits: Limits, slots: int, messages: int) -> float:
    """Seconds after the last trouble by which every slot is as wished, or says why it is not."""
    phases = (Phase.OFF, Phase.WAITING, Phase.ROM, Phase.LOADING, Phase.STARTING)
    attempt = sum(longest(phase, limits, slots, messages) for phase in phases) - HOUR
    return HOUR + limits.attempts * attempt
