"""`terrible check` on a real kernel: what it says is so, and its exit code is what `run` would do."""

from __future__ import annotations

import re

import pytest

from terrible.sim.pi import Pi, Timing

from .agent import BOOT
from .conftest import Rig
from .test_rig import DEVICES

pytestmark = pytest.mark.rig

CHECK = """
import sys
from pathlib import Path
from terrible.cli.check import main
sys.exit(main(Path(sys.argv[1])))
"""
"""As `terrible check` runs it; the guest has no typer."""
CONFIG = f'hub = "1-1"\nports = 4\n[files]\ndirectory = "{BOOT}"\n'


def test_a_head_that_is_ready(rig: Rig, files: dict[str, str]) -> None:
    async def story() -> None:
        rig.hub.insert(2, Pi(timing=Timing(rom=0.1)))
        await rig.head.until(f"test -e {DEVICES}/1-1.2/product")
        await rig.head.put("/etc/check.toml", CONFIG.encode())
        result = await rig.head.run(["python3", "-c", CHECK, "/etc/check.toml"], check=False, timeout=120)
        print(result.text)
        assert result.rc == 0, result.text
        assert len(re.findall(r"ok +power +node\d \(1-1\.\d\): sysfs", result.text)) == 4
        assert re.search(rf"ok +file .*kernel\.img.*{files['kernel.img'][:12]}", result.text)

    rig.run(story(), 180)


def test_a_slot_that_is_not_there_and_a_bad_template(rig: Rig, files: dict[str, str]) -> None:
    async def story() -> None:
        await rig.head.put("/etc/check.toml", CONFIG.replace("1-1", "1-7").encode())
        await rig.head.put(f"{BOOT}/cmdline.txt.template", b"first\nhost=${nmae}\n")
        result = await rig.head.run(["python3", "-c", CHECK, "/etc/check.toml"], check=False, timeout=120)
        await rig.head.run(["rm", f"{BOOT}/cmdline.txt.template"])
        print(result.text)
        assert result.rc == 1, result.text
        assert re.search(r"FAIL +slot +.*1-7", result.text)
        assert re.search(r"FAIL +template +.*cmdline\.txt\.template.*line 2.*nmae", result.text)

    rig.run(story(), 180)
