"""What dnsmasq is told, and what it writes."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from terrible.model import Location, Slot
from terrible.net import addresses, dnsmasq_files
from terrible.net.dnsmasq_files import Lease, leases
from terrible.net.plan import Plan

SLOT = Slot("node2", 2, Location("1-1.2"), addresses.mac("lab", 2), addresses.host_mac("lab", 2))
PLAN = Plan("lab", "head", (SLOT,), domain="lab.internal")


def lines(plan: Plan, subnet: str = "10.42.0.1/24") -> list[str]:
    return dnsmasq_files.configuration(plan, subnet, Path("/run/x")).splitlines()


def test_a_slot_has_its_address_by_the_mac_of_its_gadget() -> None:
    assert dnsmasq_files.hosts(PLAN, "10.43.0.1/24") == f"{SLOT.mac},10.43.0.12,node2\n"


def test_names_are_those_of_the_slots_and_of_the_head() -> None:
    names = dnsmasq_files.names(PLAN, "10.42.0.1/24")
    assert names == {"head": "10.42.0.1", "node2": "10.42.0.12"}
    assert dnsmasq_files.names_file(names) == "10.42.0.1 head\n10.42.0.12 node2\n"


def test_who_is_not_known_gets_nothing_unless_there_is_room_for_guests() -> None:
    assert "dhcp-range=10.42.0.0,static,255.255.255.0,12h" in lines(PLAN)
    plan = Plan("lab", "head", (SLOT,), guests=("10.42.0.200", "10.42.0.220"))
    assert "dhcp-range=10.42.0.200,10.42.0.220,255.255.255.0,12h" in lines(plan)


def test_only_the_bridge_is_served_and_reverse_names_stay_here() -> None:
    said = lines(PLAN)
    assert {"interface=terrible0", "except-interface=lo", "bind-interfaces"} <= {*said}
    assert "local=/0.42.10.in-addr.arpa/" in said


def test_dnsmasq_itself_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    plan = Plan("lab", "head", (SLOT,), mtu=9000, guests=("10.42.0.200", "10.42.0.220"))
    path = tmp_path / "conf"
    path.write_text(dnsmasq_files.configuration(plan, "10.42.0.1/24", tmp_path))
    checked = subprocess.run(["dnsmasq", "--test", f"--conf-file={path}"], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_leases_are_read_past_whatever_else_is_there() -> None:
    text = (
        "duid 00:01:00\n"
        "1700000000 02:AA:00:00:00:01 10.42.0.11 node1 01:02\n"
        "garbage\n\x00\xff\n"
        "0 02:aa:00:00:00:02 10.42.0.12 * *\n"
        "1700000000 02:aa:00:00:00:03 fd00::1 node3 *\n"
    )
    assert leases(text) == [
        Lease(1700000000, "02:aa:00:00:00:01", "10.42.0.11", "node1"),
        Lease(0, "02:aa:00:00:00:02", "10.42.0.12", ""),
    ]


@given(st.text(max_size=200))
def test_any_text_is_some_leases(text: str) -> None:
    leases(text)


def test_a_lease_of_another_keeps_no_slot_from_its_address() -> None:
    own = f"1700000000 {SLOT.mac} 10.42.0.12 node2 *"
    guest = "1700000000 02:aa:00:00:00:09 10.42.0.200 * *"
    wrong = [
        "1700000000 02:aa:00:00:00:09 10.42.0.12 x *",
        "1700000000 02:aa 10.42.0.12 node2 *",
        "\ufffd\x00",
    ]
    text = "\n".join([wrong[0], own, *wrong[1:], guest])
    assert dnsmasq_files.sound(text, PLAN, "10.42.0.1/24") == f"{own}\n{guest}\n"
