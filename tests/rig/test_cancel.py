"""Cancellation on a real libusb: a transfer is over when its callback has run, and never later."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from terrible.sim.families import ZERO
from terrible.sim.pi import Plug

from .conftest import Rig

pytestmark = pytest.mark.rig

TURNS = "1000" if os.environ.get("LONG") else "60"


class Sink:
    """Takes every announcement and all bulk data, and answers no read."""

    async def power_on(self, plug: Plug) -> None:
        wire = plug.attach(ZERO.rom)
        while True:
            await wire.take(1)

    async def answering(self, wanted: bool) -> None:
        await asyncio.Event().wait()


def test_every_transfer_can_be_cancelled_at_every_turn_of_the_loop(rig: Rig) -> None:
    async def story() -> None:
        script = Path(__file__).parent / "guest" / "cancel.py"
        await rig.head.put("/tmp/cancel.py", script.read_bytes())
        rig.hub.insert(1, Sink())
        result = await rig.head.run(["python3", "/tmp/cancel.py", TURNS], timeout=600)
        print(result.text)
        assert "all over" in result.text

    rig.run(story(), limit=650)
