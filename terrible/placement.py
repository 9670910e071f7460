"""Where the configuration puts the slots, as far as a privileged helper needs to know it.

A helper believes the file only if nobody but root could have written it, reads it afresh for each request,
and takes nothing from the environment. Without pydantic: it is small and starts with the request.
"""

from __future__ import annotations

import os
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from terrible import controllers
from terrible.model import Location
from terrible.peers import Refused, check_owner


@dataclass(frozen=True, slots=True)
class Place:
    """One slot; `name` is empty where the file gives it none."""

    name: str
    location: Location


def trusted(config: Path) -> list[Place]:
    """The configured slots; Refused where the file is not to be trusted or is wrong."""
    with config.open("rb") as file:
        if os.geteuid() == 0:
            check_owner(os.fstat(file.fileno()), config)
        try:
            return places(tomllib.load(file))
        except ValueError as error:
            raise Refused(f"{config}: {error}") from error


def places(config: dict[str, object]) -> list[Place]:
    """Where the slots are: `hub` and `ports`, and each of `[[slots]]`; ValueError otherwise."""
    found = [*_at_the_hub(config), *_spelled_out(config)]
    twice = [name for name, times in Counter(place.name for place in found).items() if name and times > 1]
    if twice:
        raise ValueError(f"two slots have the name {twice[0]}")
    return found


def _at_the_hub(config: dict[str, object]) -> Iterator[Place]:
    match config.get("hub"), config.get("ports"):
        case None, None:
            pass
        case str(hub), int(ports) if ports is not True and ports < 256:
            for port in range(1, ports + 1):
                yield Place(f"node{port}", Location.at(controllers.kernel_name(hub), port))
        case _:
            raise ValueError('hub and ports go together, as in hub = "1-1" and ports = 4')


def _spelled_out(config: dict[str, object]) -> Iterator[Place]:
    match config.get("slots", []):
        case [*slots]:
            for slot in slots:
                yield from _slot(slot)
        case _:
            raise ValueError("slots are spelled out as [[slots]]")


def _slot(slot: object) -> Iterator[Place]:
    """One of `[[slots]]`; nothing where its location follows from `hub`."""
    match slot:
        case {"location": str(where), **rest} if isinstance(name := rest.get("name", ""), str):
            yield Place(name, Location(controllers.kernel_name(where)))
        case dict() if "location" not in slot:
            pass
        case _:
            raise ValueError('a slot has a location such as "1-1.2"')
