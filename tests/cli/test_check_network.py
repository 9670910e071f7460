"""What `terrible net check` says where nothing is up yet: what is missing, and what to do about it."""

from __future__ import annotations

import asyncio

from terrible.cli import netplan
from terrible.cli.health import network
from terrible.cli.health.finding import Finding
from terrible.config import Config, SlotConfig
from terrible.net.plan import Standing
from terrible.net_config import NetConfig


def found(what: str, uplink: str | None = None) -> list[Finding]:
    slots = (SlotConfig(name="nobody-has-this-name", location="99-1.1"),)
    plan = netplan.plan(Config(cluster="rack", slots=slots, net=NetConfig(bridge="none0", uplink=uplink)))
    return [one for one in asyncio.run(network.findings(plan, Standing())) if one.what == what]


def test_an_uplink_that_is_not_there_is_named_as_such() -> None:
    (finding,) = found("uplink", uplink="wlan99")
    assert finding.said == "there is no wlan99 on this machine"
    assert "uplink under [net]" in finding.remedy


def test_a_name_that_nobody_knows_is_told_with_the_address_that_it_is_to_have() -> None:
    (finding,) = found("names")
    assert "nobody-has-this-name is not known on this machine" in finding.said
    assert ".11" in finding.said
    assert "terrible net up" in finding.remedy
