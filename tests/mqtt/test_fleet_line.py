"""What a bridge does to requests and to what is known at the centre while its line comes and goes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiomqtt import ProtocolVersion

from terrible.model import Answer, Phase

from .agent import ALL_UP, Agent
from .brokers import observing, run, until
from .examples import SLOTS, report
from .fleet import Fleet, Head, fleet

V311, V5 = ProtocolVersion.V311, ProtocolVersion.V5
both = pytest.mark.parametrize("protocol", [V311, V5], ids=["3.1.1", "5"])
BRIDGE_3 = {"bridge_protocol_version mqttv50": "bridge_protocol_version mqttv311"}
"""By MQTT 5 Mosquitto 2.0 keeps nothing for a bridge that is away, whatever is configured."""
OFF: dict[str, Any] = {"slots": "node1", "action": "off"}


@contextlib.asynccontextmanager
async def head(
    tmp_path: Path, protocol: ProtocolVersion = V5, changed: dict[str, str] | None = None
) -> AsyncIterator[tuple[Fleet, Head, Agent]]:
    """One head of a fleet, with an agent that only notes what is asked of it."""
    async with fleet(tmp_path, ["rack"], changed) as there:
        own = there.heads["rack"]
        told = Agent(own.address("agent"), cluster="rack")
        told.broker._keeper._protocol = protocol  # as if found out
        told.tell(*ALL_UP)
        await until(lambda: there.seen.held.get("terrible/rack/status") == b"online")
        try:
            yield there, own, told
        finally:
            await told.stop()


def soon(seconds: float = 30) -> float:
    return time.time() + seconds


async def cut(there: Fleet, own: Head) -> None:
    """The line between head and centre; the agent and its broker stay together."""
    await own.line.cut()
    await until(lambda: not there.linked("rack"), why="the centre sees it")


async def mended(there: Fleet, own: Head) -> None:
    await own.line.start()
    await until(lambda: there.linked("rack"), 10.0, "the bridge is back")


async def restarted(there: Fleet, own: Head) -> None:
    """Start a head's broker that was killed; wait until both the bridge and the agent are back."""
    seen = len(there.seen.on("terrible/rack/status"))
    await own.start()
    await until(lambda: there.linked("rack"), 10.0, "the bridge is back")
    await until(lambda: len(there.seen.on("terrible/rack/status")) > seen, 10.0, "and the agent")


async def nothing_more(there: Fleet, own: Head) -> None:
    """What was said before at the centre has arrived by now: an answer to what is said now has."""
    await there.ask("rack", "status", id=f"after {time.time()}", expires=soon())
    await until(lambda: any(b'"after ' in p for p in there.seen.on("terrible/rack/response/status")))


def asked(told: Agent) -> list[str | None]:
    return [request.id for request in told.asked]


@pytest.mark.parametrize("changed", [{}, BRIDGE_3], ids=["bridge by 5", "bridge by 3.1.1"])
def test_a_retained_request_at_the_centre_changes_nothing(changed: dict[str, str], tmp_path: Path) -> None:
    async def test() -> None:
        async with head(tmp_path, V5, changed) as (there, own, told):
            refused = told.broker._commands.refused
            await there.ask("rack", "power", retain=True, id="while up", expires=soon(), **OFF)
            await until(lambda: refused["retained"] == 1)
            await cut(there, own)
            await there.ask("rack", "boot", retain=True, id="while down", slots="node1", expires=soon())
            await mended(there, own)
            await until(lambda: refused["retained"] == 3, why="both come with the bridge")
            await own.kill()
            await restarted(there, own)
            await nothing_more(there, own)
            assert asked(told) == []
            assert there.answers("rack", "while up") == there.answers("rack", "while down") == []

    run(test())


def test_by_mqtt_3_it_can_act_while_it_is_new_and_never_later(tmp_path: Path) -> None:
    """A broker hides from 3.1.1 that what comes over a subscription was retained: docs/fleet.md says so."""

    async def test() -> None:
        async with head(tmp_path, V311) as (there, own, told):
            await there.ask("rack", "boot", retain=True, id="late", slots="node1", expires=soon(-1))
            assert (await there.answered("rack", "late", "error"))["error"]["code"] == "expired"
            await there.ask("rack", "power", retain=True, id="in time", expires=soon(), **OFF)
            await until(lambda: asked(told) == ["in time"])
            await cut(there, own)
            await mended(there, own)
            await until(
                lambda: told.broker._commands.refused["repeated"] > 0, why="the bridge brings it again"
            )
            await own.kill()
            await until(lambda: not there.linked("rack"))
            await restarted(there, own)
            await nothing_more(there, own)
            assert asked(told) == ["in time"]

    run(test())


@both
def test_nothing_waits_for_a_head_that_is_away(protocol: ProtocolVersion, tmp_path: Path) -> None:
    async def test() -> None:
        async with head(tmp_path, protocol) as (there, own, told):
            await cut(there, own)
            await there.ask("rack", "power", id="meanwhile", expires=soon(), **OFF)
            await mended(there, own)
            await nothing_more(there, own)
            assert asked(told) == []
            assert not told.broker._commands.refused

    run(test())


@both
def test_what_somebody_let_wait_is_refused_when_it_is_late(protocol: ProtocolVersion, tmp_path: Path) -> None:
    async def test() -> None:
        async with head(tmp_path, protocol, {**BRIDGE_3, "cleansession true": "cleansession false"}) as (
            there,
            own,
            told,
        ):
            await cut(there, own)
            await there.ask("rack", "power", id="late", expires=soon(0.2), **OFF)
            await there.ask("rack", "boot", id="in time", slots="node1", expires=soon())
            await mended(there, own)
            assert (await there.answered("rack", "late", "error"))["error"]["code"] == "expired"
            await until(lambda: asked(told) == ["in time"])

    run(test())


def test_what_was_stuck_on_the_line_is_refused_when_it_is_late(tmp_path: Path) -> None:
    async def test() -> None:
        async with head(tmp_path) as (there, own, told):
            own.freeze()
            expires = soon(0.5)
            await there.ask("rack", "power", id="late", expires=expires, **OFF)
            await there.ask("rack", "boot", id="in time", slots="node1", expires=soon())
            await until(lambda: time.time() > expires)
            own.thaw()
            assert (await there.answered("rack", "late", "error"))["error"]["code"] == "expired"
            await until(lambda: asked(told) == ["in time"])
            told.broker.answer(told.asked[0], Answer("done"))
            await there.answered("rack", "in time")

    run(test())


def test_a_head_that_dies_is_seen_at_the_centre(tmp_path: Path) -> None:
    """Its `status` is not enough: that of a head without power stays what it was."""

    async def test() -> None:
        async with head(tmp_path) as (there, own, told):
            await own.kill()
            await until(lambda: there.seen.held["terrible/rack/bridge"] == b"0", 2.0)
            assert there.seen.held["terrible/rack/status"] == b"online"
            await restarted(there, own)
            async with observing(there.centre.address("viewer")) as late:
                await until(lambda: late.held.get("terrible/rack/bridge") == b"1")
            await told.stop()
            await until(lambda: there.seen.held["terrible/rack/status"] == b"offline")
            assert there.linked("rack")

    run(test())


@pytest.mark.long
def test_so_is_one_whose_line_just_ends(tmp_path: Path) -> None:
    async def test() -> None:
        impatient = {"keepalive_interval 10": "keepalive_interval 5"}
        async with head(tmp_path, V5, impatient) as (there, own, _):
            own.freeze()
            try:
                await until(lambda: not there.linked("rack"), 12.0)
            finally:
                own.thaw()

    run(test())


def test_what_happened_while_the_line_was_cut_is_known_afterwards(tmp_path: Path) -> None:
    async def test() -> None:
        async with head(tmp_path) as (there, own, told):
            await cut(there, own)
            told.tell(report(SLOTS[0], Phase.LOST))
            await mended(there, own)
            await until(lambda: there.seen.held["terrible/rack/node/node1/status"] == b"offline")

    run(test())
