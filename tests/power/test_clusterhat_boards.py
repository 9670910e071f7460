"""The table of Cluster HAT and Cluster CTRL boards: which node is where, and which bits mean what."""

from __future__ import annotations

import pytest

from terrible.power import clusterhat_boards as boards


@pytest.mark.parametrize(
    ("version", "nodes"),
    [
        *((one, (4, 3, 2, 1)) for one in ((1, 0), (1, 3), (2, 0), (2, 3), (2, 5), (2, 7), (3, 0), (3, 2))),
        *((one, (1, 2, 3, 4)) for one in ((2, 6), (3, 1))),
    ],
)
def test_the_node_on_each_port_of_the_hub(version: boards.Version, nodes: tuple[int, ...]) -> None:
    assert tuple(boards.node_at(version, port) for port in (1, 2, 3, 4)) == nodes
    assert boards.node_at(version, 5) is None
    assert boards.node_at(version, 0) is None


@pytest.mark.parametrize(
    ("product", "text", "version"),
    [
        ("ZC4:ClusterHAT\0", "0x0010\0", (1, 0)),
        ("ZC4:ClusterHAT\0", "0x001f\0", (1, 15)),
        ("ZC4:ClusterHAT", "0x0020", (2, 0)),
        ("ZC4:ClusterHAT\0", "0x0026\0", (2, 6)),
        ("ZC4:ClusterHAT\0", "0x0031\0", (3, 1)),
        ("ZC4:ClusterHAT\0", "0x000f\0", None),
        ("ZC4:ClusterHAT\0", "0x0040\0", None),
        ("ZC4:ClusterHAT\0", "\0", None),
        ("Sense HAT\0", "0x0020\0", None),
    ],
)
def test_the_version_in_the_eeprom(product: str, text: str, version: boards.Version | None) -> None:
    assert boards.hat_version(product, text) == version


@pytest.mark.parametrize(
    ("version", "levels", "output"),
    [
        ((2, 0), 0x00, 0b1011_0000),  # write protection, hub on by a high bit, LED
        ((2, 1), 0x00, 0b1001_0000),  # hub on by a low bit from here on
        ((2, 6), 0xF0, 0b1001_0000),
        ((2, 6), 0x0F, 0b1001_1111),  # the link is cut: the nodes have power and keep it
        ((2, 6), 0x07, 0b1001_0000),
        ((3, 0), 0x00, 0b1000_0000),  # no LED bit
        ((3, 1), 0xFF, 0b1000_1111),
    ],
)
def test_what_a_fresh_board_is_set_to(version: boards.Version, levels: int, output: int) -> None:
    assert boards.first_output(version, levels) == output


@pytest.mark.parametrize(("version", "on", "bit"), [((2, 0), True, 1), ((2, 1), True, 0), ((3, 0), True, 0)])
def test_the_hubs_bit(version: boards.Version, on: bool, bit: int) -> None:
    for before in (0x00, 0xFF):
        assert boards.with_hub(version, before, on) == before & ~0x20 | bit << 5
        assert boards.with_hub(version, before, not on) == before & ~0x20 | (1 - bit) << 5


@pytest.mark.parametrize(
    ("controller", "own", "node", "location"),
    [
        ("1-1.3.5", [5], [4], "1-1.3.4"),
        ("1-1.3.5", [5], [2, 1], "1-1.3.2.1"),
        ("1-1.4.1", [4, 1], [4, 3], "1-1.4.3"),
        ("3-5", [5], [1], "3-1"),
    ],
)
def test_where_a_node_of_a_ctrl_is(controller: str, own: list[int], node: list[int], location: str) -> None:
    padded = [[0xFF] * (8 - len(way)) + way for way in (own, node)]
    assert boards.ctrl_location(controller, *padded) == location


@pytest.mark.parametrize(
    ("own", "node"), [([4], [1]), ([], [1]), ([5], []), ([3, 1, 3, 5], [1]), ([1, 1, 3, 5], [0])]
)
def test_a_ctrl_that_is_not_where_it_says(own: list[int], node: list[int]) -> None:
    with pytest.raises(ValueError, match=r"its hub, but it is at 1-1\.3\.5|USB location"):
        boards.ctrl_location("1-1.3.5", own, node)


def test_port_15_is_not_port_5() -> None:
    with pytest.raises(ValueError, match=r"at port 5 of its hub, but it is at 1-1\.15"):
        boards.ctrl_location("1-1.15", [5], [1])
