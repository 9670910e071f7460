"""Control requests to hubs, by the kernel's name of the hub.

A hub can be opened and asked while the kernel's driver owns it; claiming it would fail with Busy. It is
opened for one request and closed again: nobody shall find it held.
"""

from __future__ import annotations

from typing import Any

from terrible.errors import BootError, HostError
from terrible.usb.errors import UsbAccess, UsbError
from terrible.usb.libusb import Sighting, UsbContext

_HUB_CLASS = 0x09


class Hubs:
    """Every hub of this machine, root hubs included."""

    def __init__(self) -> None:
        self._hubs: dict[str, tuple[UsbContext, int, Any]] = {}

    def saw(self, context: UsbContext, sighting: Sighting) -> None:
        """A device arrived or left; remember it if it is a hub."""
        if sighting.arrived and sighting.descriptors.device_class == _HUB_CLASS:
            self._hubs[sighting.name] = (context, sighting.address, sighting.key)
        elif not sighting.arrived:
            self.lost(sighting.name, sighting.address)

    def lost(self, name: str, address: int) -> None:
        """The device with this address is no longer there."""
        if (known := self._hubs.get(name)) is not None and known[1] == address:
            del self._hubs[name]

    async def hub_control(
        self,
        hub: str,
        request_type: int,
        request: int,
        value: int,
        index: int,
        data_or_length: bytes | int,
        limit: float,
    ) -> bytes:
        """One class request to the hub `1-1` or `usb1`; BootError if it fails, HostError if we may not."""
        if (found := self._hubs.get(hub)) is None:
            raise BootError(f"there is no hub at {hub}")
        context, address, key = found
        try:
            handle = context.open(key)
            try:
                return await handle.control(request_type, request, value, index, data_or_length, limit)
            finally:
                handle.close()
        except UsbAccess:
            bus = hub.removeprefix("usb").partition("-")[0]
            raise HostError(
                f"no permission to open the hub at {hub} (/dev/bus/usb/{bus:0>3}/{address:03d}): "
                "install packaging/70-terrible.rules, or run as root"
            ) from None
        except UsbError as error:
            raise BootError(f"the hub at {hub} did not do a request: {error}") from None
