"""The guest's hub with a model of a Pi in each port: power from the guest starts and ends their lives."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Protocol, Self

from terrible.sim.pi import Plug

from .gadget import network
from .machine import Machine
from .peer import Peer


class PiModel(Protocol):
    """`terrible.sim.pi.Pi`, or anything that lives like it."""

    async def power_on(self, plug: Plug) -> None:
        """Live until cancelled, which is the power cut."""

    async def answering(self, wanted: bool) -> None:
        """Return once what runs on it answers the network, or no longer does."""


class EmulatedHub:
    """`async with EmulatedHub(head, {1: Pi()}) as hub`: ports without a model are empty sockets."""

    def __init__(self, machine: Machine, pis: Mapping[int, PiModel] | None = None) -> None:
        self.pis: dict[int, PiModel] = dict(pis or {})
        self.failures: list[Exception] = []
        """What ended a model by itself; `check` raises it."""
        self._machine = machine
        self._lives: dict[int, asyncio.Task[None]] = {}
        self._awake: set[int] = set()
        self.peers = {
            port: Peer(network(port), partial(self._awake.__contains__, port)) for port in machine.powered
        }

    async def __aenter__(self) -> Self:
        for port, peer in self.peers.items():
            await peer.connect(self._machine.socket(port))
        self._machine.watch_power(self._switched)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._machine.unwatch_power(self._switched)
        for port, peer in self.peers.items():
            self._end(port)
            peer.close()
        await asyncio.gather(*self._lives.values(), return_exceptions=True)
        self.check()

    def check(self) -> None:
        """Raise what models have failed with since the last time."""
        failures, self.failures = self.failures, []
        if failures:
            raise ExceptionGroup("models of Pis failed", failures)

    def insert(self, port: int, pi: PiModel) -> None:
        """Put a Pi into a port, in place of the one that was there; it starts at once if there is power."""
        self.remove(port)
        self.pis[port] = pi
        if self._machine.powered[port]:
            self._begin(port)

    def remove(self, port: int) -> None:
        """Pull the Pi out of a port."""
        self._end(port)
        self.pis.pop(port, None)

    def hang(self, port: int) -> None:
        """The device in this port answers nothing any more, until it leaves or loses power."""
        self.peers[port].hang()

    # ----------------------------------------------------------------------------------------------

    def _switched(self, port: int, on: bool) -> None:
        if not on:
            self._end(port)
        elif port in self.pis:
            self._begin(port)

    def _begin(self, port: int) -> None:
        life = self._live(port, self.pis[port], self._lives.get(port))
        self._lives[port] = asyncio.create_task(life, name=f"pi {port}")

    def _end(self, port: int) -> None:
        """The device leaves by itself: QEMU would offer it again as soon as any other port gets power."""
        if life := self._lives.get(port):
            life.cancel()
        self.peers[port].detach()

    async def _live(self, port: int, pi: PiModel, before: asyncio.Task[None] | None) -> None:
        if before:
            await asyncio.wait([before])
        listener = asyncio.create_task(self._listen(port, pi))
        try:
            await pi.power_on(self.peers[port])
        except Exception as error:  # noqa: BLE001 - whatever it was, the test is to hear of it
            self.failures.append(error)
        finally:
            listener.cancel()
            self._awake.discard(port)

    async def _listen(self, port: int, pi: PiModel) -> None:
        while True:
            await pi.answering(True)
            self._awake.add(port)
            await pi.answering(False)
            self._awake.discard(port)
