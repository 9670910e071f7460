"""Bare bulk writers: bytes to every Pi that waits for files, with nothing else around them.

`writer.py MEGABYTES {threads,events} CHUNK DEPTH` prints one JSON line: seconds, CPU seconds, bytes.
Threads write synchronously; events keep DEPTH transfers of each device in flight from one thread.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import usb1

ENDPOINT = 1
LOADER = (0x0A5C, 0x2764)
_HOUR = 3_600_000


def main(megabytes: str, way: str, chunk: str, depth: str) -> None:
    data = bytearray(int(float(megabytes) * 1e6))
    with usb1.USBContext() as context:
        handles = [_open(device) for device in context.getDeviceIterator() if _waits(device)]
        write = {"threads": _threads, "events": _events}[way]
        began, busy = time.monotonic(), time.process_time()
        write(context, handles, data, int(chunk), int(depth))
        seconds, cpu = time.monotonic() - began, time.process_time() - busy
        for handle in handles:
            handle.close()
    print(json.dumps({"seconds": seconds, "cpu": cpu, "bytes": len(data) * len(handles)}), flush=True)


def _waits(device: Any) -> bool:
    return (device.getVendorID(), device.getProductID()) == LOADER


def _open(device: Any) -> Any:
    handle = device.open()
    handle.claimInterface(0)
    return handle


def _pieces(data: bytearray, chunk: int) -> list[memoryview]:
    """Writable views, which usb1 hands to libusb without copying."""
    view = memoryview(data)
    return [view[start : start + chunk] for start in range(0, len(data), chunk)]


def _threads(_: Any, handles: list[Any], data: bytearray, chunk: int, __: int) -> None:
    def write(handle: Any) -> None:
        for piece in _pieces(data, chunk):
            handle.bulkWrite(ENDPOINT, piece, _HOUR)

    threads = [threading.Thread(target=write, args=(handle,)) for handle in handles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _events(context: Any, handles: list[Any], data: bytearray, chunk: int, depth: int) -> None:
    flying: set[Any] = set()
    for handle in handles:
        rest = _pieces(data, chunk)[::-1]
        for _ in range(min(depth, len(rest))):
            transfer = handle.getTransfer()
            flying.add(transfer)
            _next(rest, flying)(transfer)
    while flying:
        context.handleEvents()


def _next(rest: list[memoryview], flying: set[Any]) -> Callable[[Any], None]:
    def go_on(transfer: Any) -> None:
        if not rest:
            flying.discard(transfer)
            return
        transfer.setBulk(ENDPOINT, rest.pop(), go_on)
        transfer.submit()

    return go_on


if __name__ == "__main__":
    main(*sys.argv[1:])
