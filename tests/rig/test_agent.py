"""The agent itself on a real kernel, real libusb and a real switchable hub, booting emulated Pis."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from terrible.sim.families import FAMILIES
from terrible.sim.pi import Pi, Timing
from tests.cluster import boot_directory

from .conftest import Rig

pytestmark = pytest.mark.rig

BOOT = "/boot-files"
TIMING = Timing(rom=0.1, gap=0.3, kernel=0.5, initramfs_pause=0.1)
"""A brisk Pi: the gaps of a real one say nothing about the agent."""


@pytest.fixture
def files(rig: Rig, tmp_path: Path) -> dict[str, str]:
    """Boot files in the guest; their hashes by name."""
    base = boot_directory(tmp_path / "boot")

    async def copy() -> dict[str, str]:
        hashes = {}
        for path in base.iterdir():
            await rig.head.put(f"{BOOT}/{path.name}", path.read_bytes())
            hashes[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        return hashes

    return rig.run(copy())


@pytest.mark.parametrize("family", FAMILIES)
def test_serve_boots_one_pi_of_every_family(rig: Rig, files: dict[str, str], family: str) -> None:
    async def story() -> None:
        pi = Pi(FAMILIES[family], timing=TIMING)
        async with rig.head.spawn(["python3", "-m", "terrible", "serve", "-d", BOOT]) as serve:
            await serve.expect("waiting for Pis")
            rig.hub.insert(1, pi)
            await serve.expect(r"1-1\.1  up")
            assert await serve.wait() == 0
        assert pi.bootcode == files[pi.family.bootcode]
        assert pi.read["start.elf"] == files["start.elf"]
        assert pi.read["kernel.img"] == files["kernel.img"]

    rig.run(story())
