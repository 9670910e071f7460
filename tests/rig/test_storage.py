"""The rig's cards work without the agent: the guest's own driver reads and writes them."""

from __future__ import annotations

import hashlib

import pytest

from terrible.sim.families import DISK

from .card import Card
from .conftest import Rig
from .test_rig import DEVICES, Gadget

pytestmark = pytest.mark.rig

SIZE = 2 << 30


def test_the_kernel_reads_and_writes_a_card(rig: Rig) -> None:
    async def story() -> None:
        card = rig.hub.peers[2].card = Card(SIZE)
        card.write(1 << 20, b"terrible" * 64)
        rig.hub.insert(2, Gadget(DISK))
        await rig.head.until(f"grep -qv '^0$' {DEVICES}/1-1.2:1.0/host*/target*/*/block/*/size")
        name = (
            await rig.head.run(["sh", "-c", f"ls {DEVICES}/1-1.2:1.0/host*/target*/*/block"])
        ).text.strip()
        size = (await rig.head.run(["cat", f"/sys/block/{name}/size"])).text.strip()
        assert int(size) * 512 == SIZE
        found = await rig.head.run(["sh", "-c", f"dd if=/dev/{name} bs=512 skip=2048 count=1 | sha256sum"])
        assert found.text.split()[0] == hashlib.sha256(b"terrible" * 64).hexdigest()
        await rig.head.run(["dd", "if=/dev/urandom", "of=/tmp/noise", "bs=1M", "count=4"])
        await rig.head.run(["dd", "if=/tmp/noise", f"of=/dev/{name}", "bs=1M", "seek=16", "conv=fsync"])
        noise = (await rig.head.run(["sha256sum", "/tmp/noise"])).text.split()[0]
        assert hashlib.sha256(card.read(16 << 20, 4 << 20)).hexdigest() == noise
        rig.hub.peers[2].card = None
        card.close()

    rig.run(story())
