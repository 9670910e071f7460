"""Two nodes with one MAC: who came first stays, the other is kept off until it need not be."""

from __future__ import annotations

from terrible.net.interfaces import Interface
from terrible.net.ports import MOST_MACS, Ports

NAMES = {1: "node1", 2: "node2", 3: "node3"}
CLONE = "02:00:00:00:00:99"


def interface(index: int, mac: str = "") -> Interface:
    return Interface(f"usb{index}", index, mac or f"06:00:00:00:00:{index:02x}", "", carrier=True)


def joined(ports: Ports, **present: Interface) -> Ports:
    for name, one in present.items():
        number = int(name.removeprefix("node"))
        assert ports.may_join(number, one, NAMES)
        ports.joined[number] = one
    return ports


def test_everybody_joins_once() -> None:
    ports = joined(Ports(), node1=interface(1), node2=interface(2))
    assert not ports.may_join(1, interface(1), NAMES)


def test_the_second_with_a_mac_behind_it_is_taken_off() -> None:
    ports = joined(Ports(), node1=interface(1), node2=interface(2))
    assert ports.seen(1, CLONE, NAMES) is None
    assert ports.seen(2, CLONE, NAMES) == interface(2)
    assert not ports.may_join(2, interface(2), NAMES)
    assert CLONE in ports.kept_off[2][2]
    assert "node1" in ports.kept_off[2][2]


def test_the_first_stays_also_when_it_speaks_again() -> None:
    ports = joined(Ports(), node1=interface(1), node2=interface(2))
    ports.seen(1, CLONE, NAMES)
    ports.seen(2, CLONE, NAMES)
    assert ports.seen(1, CLONE, NAMES) is None
    assert 1 in ports.joined


def test_the_head_s_ends_may_not_be_the_same_either_and_that_is_known_before_joining() -> None:
    ports = joined(Ports(), node1=interface(1, CLONE))
    assert not ports.may_join(2, interface(2, CLONE), NAMES)
    assert 2 in ports.kept_off


def test_it_may_join_when_the_first_has_left() -> None:
    ports = joined(Ports(), node1=interface(1), node2=interface(2))
    ports.seen(1, CLONE, NAMES)
    ports.seen(2, CLONE, NAMES)
    ports.left({2: interface(2)})
    assert ports.may_join(2, interface(2), NAMES)


def test_and_when_it_comes_back_as_another() -> None:
    ports = joined(Ports(), node1=interface(1), node2=interface(2))
    ports.seen(1, CLONE, NAMES)
    ports.seen(2, CLONE, NAMES)
    ports.left({1: interface(1), 2: interface(7)})
    assert ports.may_join(2, interface(7), NAMES)


def test_a_board_that_moves_to_another_slot_is_no_clone() -> None:
    ports = joined(Ports(), node1=interface(1))
    ports.seen(1, CLONE, NAMES)
    assert ports.left({3: interface(8)}) == {1: interface(1)}
    joined(ports, node3=interface(8))
    assert ports.seen(8, CLONE, NAMES) is None


def test_ports_of_others_are_nobody_s_business() -> None:
    assert Ports().seen(99, CLONE, NAMES) is None


def test_a_node_that_makes_up_macs_fills_no_memory() -> None:
    ports = joined(Ports(), node1=interface(1))
    expelled = [
        ports.seen(1, f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}", NAMES) for number in range(5000)
    ]
    assert len(ports.owners) <= MOST_MACS
    assert [one for one in expelled if one] == [interface(1)]
    ports.left({1: interface(1)})
    assert not ports.may_join(1, interface(1), NAMES), "not as the same that it was"


def test_nobody_keeps_a_slot_off_by_using_its_mac_first() -> None:
    ports = joined(Ports(own={2: CLONE}), node1=interface(1))
    assert ports.seen(1, CLONE, NAMES) is None
    joined(ports, node2=interface(2))
    assert ports.seen(2, CLONE, NAMES) == interface(1), "the impostor leaves"
    assert 2 in ports.joined
    assert "node2" in ports.kept_off[1][2]
