"""`terrible hubs` on a real kernel: it says what uhubctl says."""

from __future__ import annotations

import re

import pytest

from terrible.sim.pi import Pi, Timing

from .conftest import Rig
from .hubscommand import LIMIT, as_json, configured, hubs, install_rich, uhubctl
from .test_rig import DEVICES, Gadget, switch

pytestmark = pytest.mark.rig


def test_every_port_is_as_uhubctl_says(rig: Rig) -> None:
    async def story() -> None:
        rig.hub.insert(2, Pi(timing=Timing(rom=0.1)))
        rig.hub.insert(4, Gadget())
        await rig.head.until(f"test -e {DEVICES}/1-1.2/product && test -e {DEVICES}/1-1.4:1.0/net")
        await switch(rig, 3, "off")
        said, seen = await as_json(rig, config=await configured(rig)), await uhubctl(rig)
        ports = said["1-1"]["ports"]
        assert {at: (port["ids"], port["power"]) for at, port in ports.items()} == seen
        assert [port["power"] for port in ports.values()] == [True, True, False, True]
        assert [port["stage"] for port in ports.values()] == [None, "rom", None, "gadget"]
        assert [port["slot"] for port in ports.values()] == ["node1", "node2", "node3", "node4"]
        assert {port["backend"] for port in ports.values()} == {"sysfs"}
        assert {port["over_current"] for port in ports.values()} == {False}
        assert said["1-1"]["switching"] == "per-port"
        assert said["usb1"]["ports"]["1-1"]["stage"] == "hub"

    rig.run(story(), LIMIT + 60)


def test_table_and_tree(rig: Rig) -> None:
    async def story() -> None:
        await install_rich(rig)
        rig.hub.insert(2, Pi(timing=Timing(rom=0.1)))
        await rig.head.until(f"test -e {DEVICES}/1-1.2/product")
        config = await configured(rig)
        table = (await hubs(rig, config=config)).text
        print(table)
        assert re.search(r"hub 1-1  0409:55aa .*4 ports.*switching: per port", table)
        assert re.search(r"1-1\.2 +node2 +ROM 0a5c:2763 BCM2708 Boot +on +no +sysfs +-", table)
        tree = (await hubs(rig, config=config, tree=True)).text
        print(tree)
        assert re.search(r"1-1\.2 node2: ROM 0a5c:2763 BCM2708 Boot; power on, switched by sysfs", tree)

    rig.run(story(), LIMIT + 60)


def test_without_permission_what_sysfs_tells_is_told(rig: Rig) -> None:
    async def story() -> None:
        await install_rich(rig)
        rig.hub.insert(2, Pi(timing=Timing(rom=0.1)))
        await rig.head.until(f"test -e {DEVICES}/1-1.2/product")
        told = (await hubs(rig, user="terrible")).text
        print(told)
        assert re.search(
            r"1-1\.2 +- +ROM 0a5c:2763 BCM2708 Boot +unknown \(no permission\) +unknown +unknown", told
        )
        assert told.splitlines()[-1].endswith("install packaging/70-terrible.rules, or run as root")
        refused = await hubs(rig, user="terrible", probe="1-1.2", check=False)
        assert refused.rc == 1
        assert b"no permission to open the hub at 1-1" in refused.stderr

    rig.run(story(), LIMIT + 60)


@pytest.mark.long
def test_an_agent_that_owns_the_bus_is_named(rig: Rig) -> None:
    async def story() -> None:
        async with rig.head.spawn(["python3", "-m", "terrible", "serve", "-l", "-d", "/tmp"]) as serve:
            await serve.expect("waiting for Pis")
            refused = await hubs(rig, as_json=True, check=False)
            assert refused.rc == 1
            assert f"another terrible is running (process {serve.pid}".encode() in refused.stderr

    rig.run(story(), LIMIT + 60)
