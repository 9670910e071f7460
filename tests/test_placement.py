"""What a privileged helper reads of a configuration, as a table, and whose file it believes."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from terrible.configfile import load
from terrible.peers import Refused, check_owner
from terrible.placement import places


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
    assert {place.location for place in places(tomllib.loads(text))} == set(allowed.split())


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
        '[[slots]]\nname = 1\nlocation = "1-1.2"',
        '[[slots]]\nname = "a"\nlocation = "1-1.1"\n[[slots]]\nname = "a"\nlocation = "1-1.2"',
        'hub = "1-1"\nports = 2\n[[slots]]\nname = "node2"\nlocation = "1-1.4"',
    ],
)
def test_bad_locations(text: str) -> None:
    with pytest.raises(ValueError, match=r"hub|ports|slot|location"):
        places(tomllib.loads(text))


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


@pytest.mark.parametrize(
    "text",
    [
        'hub = "1-1"\nports = 3',
        '[[slots]]\nname = "x"\nlocation = "1-2"\n[[slots]]\nname = "y"\nlocation = "1-1.4"',
    ],
)
def test_the_agent_and_the_helpers_give_a_place_the_same_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "terrible.toml"
    file.write_text(text)
    agents = [(slot.name, slot.location) for slot in load(file, {}).named_slots()]
    assert [(place.name, place.location) for place in places(tomllib.loads(text))] == agents
