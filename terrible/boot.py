"""How a Pi boots over USB, top to bottom.

A boot is level-triggered: it asks what the port shows *now* and enters there, so an agent that starts
over a half-booted or running node carries on where it stands.

    ROM     wants bootcode; it takes it, leaves, and comes back as
    LOADER  wants files, one after the other, until it is done; it leaves, a kernel starts, and
    GADGET  is the node's network, which is up once the node answers; or
    DISK    is its card, for whoever wants to write it.

A device that leaves is neither success nor failure: only the next stage at the same location, within
its limit, makes the stage before it a success.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from terrible import diagnosis
from terrible.attempt import Attempt
from terrible.errors import BootError, Code, DeviceLeft, Problem, Silent
from terrible.limits import Limits
from terrible.model import Phase, Stage
from terrible.port import Port, while_there
from terrible.seams import Device, Network
from terrible.usb import identify, loader
from terrible.usb.bootfiles import BootFiles, Found, Missing


@dataclass(frozen=True, slots=True)
class Means:
    """What every boot needs besides the Pi. Where cards can be written, `mass_storage` shows them."""

    files: BootFiles
    network: Network
    limits: Limits
    mass_storage: BootFiles | None = None

    @property
    def for_cards(self) -> Means:
        """The same for a boot that ends as a disk."""
        return replace(self, files=self.mass_storage or self.files)

    @property
    def for_first_boot(self) -> Means:
        """The same for a node whose card has just been written: its system unfolds before it answers."""
        longest = self.limits.first_boot
        return replace(self, limits=replace(self.limits, loader_to_gadget=longest, gadget_to_up=longest))


async def boot(port: Port, means: Means, attempt: Attempt) -> Device:
    """Take what the port shows to where it runs by itself, and return that device.

    BootError where the node did not do its part in time; DeviceLeft where it was pulled out.
    """
    limits = means.limits
    device = await port.shows()
    while True:
        attempt.meets(device)
        match device.stage:
            case Stage.ROM:
                await _feed_bootcode(device, means, attempt)
                device = await _next_stage(port, device, limits.rom_to_loader, limits, attempt)
            case Stage.LOADER:
                await _serve_files(device, means, attempt)
                device = await _next_stage(port, device, limits.loader_to_gadget, limits, attempt)
            case Stage.GADGET:
                await _up(device, means, attempt)
                return device
            case Stage.DISK | Stage.OTHER:
                return device


async def _feed_bootcode(device: Device, means: Means, attempt: Attempt) -> None:
    attempt.enters(Phase.ROM)
    attempt.waits(means.limits.control_in)
    bootcode, signature = await means.files.bootcode(attempt.slot, identify.chip(device.descriptors))
    attempt.serving(bootcode)
    async with device.open() as link:
        await loader.send_bootcode(link, bootcode.content, signature or b"", means.limits, attempt.sent)
    attempt.served(bootcode)


async def _serve_files(device: Device, means: Means, attempt: Attempt) -> None:
    attempt.enters(Phase.LOADING)
    attempt.waits(means.limits.control_in)
    chip = identify.chip(device.descriptors)

    async def find(name: str) -> Found | Missing:
        attempt.waits(means.limits.control_in)
        return await means.files.find(attempt.slot, chip, name)

    try:
        async with device.open() as link:
            await loader.serve_files(link, find, means.limits, attempt)
    except Silent:
        raise BootError(diagnosis.silent(means.limits.control_in, attempt.transcript)) from None
    attempt.enters(Phase.STARTING)


async def _next_stage(port: Port, before: Device, limit: float, limits: Limits, attempt: Attempt) -> Device:
    """What comes after this stage on the same port.

    A ROM is served again at once, for nobody can tell a Pi that starts over from one that was pulled out
    and put back; one that does so often is said to.
    """
    attempt.waits(limit)
    try:
        async with asyncio.timeout(limit):
            device = await port.shows(other_than=before)
    except TimeoutError:
        raise BootError(diagnosis.never_came_back(before.stage, limit, attempt.transcript)) from None
    if before.stage is Stage.LOADER and device.stage is Stage.ROM:
        attempt.unfolded()
    if device.stage is Stage.ROM and attempt.restarted() > limits.restarts:
        attempt.complains(Problem(Code.BOOT_FAILED, diagnosis.keeps_restarting(attempt.transcript)))
    return device


async def _up(device: Device, means: Means, attempt: Attempt) -> None:
    try:
        await while_there(device, _reach(device, means, attempt))
    except DeviceLeft:
        attempt.unfolded()
        raise


async def _reach(device: Device, means: Means, attempt: Attempt) -> None:
    """The gadget is there; wait until the node behind it answers, and say so if that takes too long."""
    attempt.enters(Phase.STARTING)
    attempt.waits(float("inf"))
    answers = asyncio.ensure_future(means.network.reachable(attempt.slot, device, attempt.passed))
    try:
        limit = means.limits.gadget_to_up
        if not (await asyncio.wait({answers}, timeout=limit))[0]:
            attempt.complains(Problem(Code.UNREACHABLE, diagnosis.unreachable(limit)))
        attempt.reached(await answers)
    finally:
        answers.cancel()
