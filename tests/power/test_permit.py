"""What a configuration allows, as a table."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from terrible.model import Location
from terrible.peers import Refused, check_owner
from terrible.power.permit import locations, within

from .test_boards import SOCKETS_5, pi5
from .tree import Tree


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("", ""),
        ('hub = "1-1"\nports = 4', "1-1.1 1-1.2 1-1.3 1-1.4"),
        ('hub = "usb1"\nports = 2', "1-1 1-2"),
        ('[[slots]]\nlocation = "1-1.2"\n[[slots]]\nlocation = "2-1"\nname = "x"', "1-1.2 2-1"),
        ('hub = "1-1"\nports = 1\n[[slots]]\nname = "without a place"', "1-1.1"),
        ('cluster = "rack"\n[limits]\nattempts = 5', ""),
    ],
)
def test_locations(text: str, allowed: str) -> None:
    assert locations(tomllib.loads(text)) == set(allowed.split())


@pytest.mark.parametrize(
    "text",
    [
        'hub = "1-1"',
        "ports = 4",
        'hub = "1-1"\nports = "4"',
        'hub = "1-1"\nports = true',
        'hub = "1-1"\nports = 1000000000',
        "hub = 1\nports = 4",
        'hub = "../.."\nports = 4',
        "[[slots]]\nlocation = 4",
        '[[slots]]\nlocation = "1-1.2/../../x"',
        '[slots]\nlocation = ["1-1.2"]',
        'slots = "1-1.2"',
    ],
)
def test_bad_locations(text: str) -> None:
    with pytest.raises(ValueError, match=r"hub|ports|slot|location"):
        locations(tomllib.loads(text))


@pytest.mark.parametrize(
    ("uid", "mode", "trusted"),
    [
        (0, 0o100644, True),
        (0, 0o100640, True),
        (0, 0o100664, False),
        (0, 0o100646, False),
        (1, 0o100644, False),
    ],
)
def test_owner(uid: int, mode: int, trusted: bool) -> None:
    status = os.stat_result((mode, 0, 0, 1, uid, 0, 0, 0, 0, 0))
    if trusted:
        check_owner(status, Path("terrible.toml"))
    else:
        with pytest.raises(Refused, match="owned by root"):
            check_owner(status, Path("terrible.toml"))


def test_what_is_switched_with_a_slot_is_allowed_too(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.peers("1-2", "2-2")
    assert within(tmp_path, frozenset({Location("1-2")})) == {"1-2", "2-2"}
    assert within(tmp_path, frozenset({Location("1-1.1")})) == {"1-1.1"}


def test_of_a_pi_5_all_sockets(tmp_path: Path) -> None:
    pi5(tmp_path)
    assert within(tmp_path, frozenset({Location("1-1")})) == {*SOCKETS_5.split()}
    assert within(tmp_path, frozenset({Location("1-1.2")})) == {"1-1.2"}, "behind a hub of its own"
