"""The node network as configured: the bridge, names, and the way out."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from terrible.net.plan import Forward, parse_forward
from terrible.texts import fitting

Interface = Annotated[
    str,
    fitting(r"[A-Za-z0-9_.-]{1,15}", "an interface has at most 15 letters, digits, and _ . - in its name"),
]
"""IFNAMSIZ is 16 with its NUL (linux/if.h); what people call interfaces needs no other characters."""
Domain = Annotated[
    str,
    fitting(
        r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*",
        "a domain has a-z, 0-9 and dashes between dots, as rack.internal",
    ),
]
Chain = Annotated[
    str,
    fitting(
        r"[A-Za-z0-9_-]+( [A-Za-z0-9_-]+ [A-Za-z0-9_-]+)?",
        "a chain is one word, as DOCKER-USER, or family, table and chain, as inet filter forward",
    ),
]


class NetConfig(BaseModel):
    """The `[net]` table. `port` is a TCP port that a node must answer on before it is `up`.

    `gadget` is what boot file templates say to nodes: CDC ECM, or NCM, with which Cluster HAT's image had
    pings of 12 seconds and dropped connections (its change of 2026-05).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: Annotated[bool, Field(strict=True)] = True
    bridge: Interface = "terrible0"
    mtu: Annotated[int, Field(strict=True, ge=576, le=15000)] = 1500
    domain: Domain | None = None
    guests: str | None = None
    uplink: Interface | None = None
    forwards: tuple[str, ...] = ()
    forward_chain: Chain | None = None
    gadget: Literal["g_ether", "g_ncm"] = "g_ether"
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] | None = None

    @field_validator("bridge")
    @classmethod
    def _is_free(cls, bridge: str) -> str:
        if bridge in (".", "..", "all", "default", "lo"):
            raise ValueError("no interface can be called that")
        return bridge

    @field_validator("guests")
    @classmethod
    def _is_range(cls, guests: str | None) -> str | None:
        if guests is not None:
            first, dash, last = guests.partition("-")
            if not dash or ipaddress.IPv4Address(first) > ipaddress.IPv4Address(last):
                raise ValueError("a range is written 10.42.0.200-10.42.0.220")
        return guests

    @field_validator("forwards")
    @classmethod
    def _are_forwards(cls, forwards: tuple[str, ...]) -> tuple[str, ...]:
        ports = [parse_forward(text).port for text in forwards]
        if twice := {port for port in ports if ports.count(port) > 1}:
            raise ValueError(f"port {min(twice)} is forwarded twice")
        return forwards

    def parsed_forwards(self) -> tuple[Forward, ...]:
        """The forwards as values."""
        return tuple(parse_forward(text) for text in self.forwards)
