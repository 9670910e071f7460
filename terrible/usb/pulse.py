"""Whether a device is alive: the one request that every USB device must answer in every state.

GET_STATUS of the device (USB 2.0, 9.4.5) changes nothing and needs no claimed interface, so it may be
asked of a device that a kernel driver has in use.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from terrible.errors import HostError
from terrible.model import Location
from terrible.usb.errors import UsbAccess, UsbError, UsbStall
from terrible.usb.libusb import Sighting, UsbContext

LIMIT = 1.0
"""Seconds for the answer; a device has 0.5 (USB 2.0, 9.2.6.4)."""
_DEVICE_IN, _GET_STATUS, _LENGTH = 0x80, 0, 2


@contextmanager
def pulse() -> Iterator[Callable[[Location], Awaitable[bool | None]]]:
    """`Pulse.answers` for as long as the block: a second ear on the bus is worth its price only then."""
    asking = Pulse()
    try:
        yield asking.answers
    finally:
        asking.close()


class Pulse:
    """Asks devices whether they are there, each time over a handle of its own."""

    def __init__(self) -> None:
        self._there: dict[str, Sighting] = {}
        self._died: HostError | None = None
        self._context = UsbContext(self._saw, self._end)
        self._context.start()

    async def answers(self, location: Location) -> bool | None:
        """Whether what sits there answers; None without permission to ask. HostError if libusb gave up."""
        if self._died is not None:
            raise self._died
        if (found := self._there.get(location)) is None:
            return False
        try:
            handle = self._context.open(found.key)
            try:
                await handle.control(_DEVICE_IN, _GET_STATUS, 0, 0, _LENGTH, LIMIT)
            finally:
                handle.close()
        except UsbAccess:
            return None
        except UsbStall:
            return True  # a refusal is an answer
        except UsbError:
            return False
        return True

    def close(self) -> None:
        """Give libusb back."""
        self._context.close()

    def _saw(self, sighting: Sighting) -> None:
        known = self._there.get(sighting.name)
        if sighting.arrived:
            self._there[sighting.name] = sighting
        elif known is not None and known.address == sighting.address:
            del self._there[sighting.name]

    def _end(self, error: HostError) -> None:
        self._died = error
