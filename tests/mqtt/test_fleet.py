"""Many heads at one centre: what goes up, what comes down, and what a broken line leaves."""

from __future__ import annotations

import json
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from .brokers import Observer, observing, run, until
from .fleet import CLUSTERS, Fleet, fleet, simulated


def soon() -> float:
    return time.time() + 30


async def all_up(there: Fleet) -> None:
    nodes = [f"terrible/{cluster}/node/node{n}/status" for cluster in there.heads for n in (1, 2)]
    await until(lambda: all(there.seen.held.get(node) == b"online" for node in nodes), 20.0, "all is up")


def test_three_clusters_at_one_centre(tmp_path: Path) -> None:
    async def test() -> None:
        async with fleet(tmp_path) as there, AsyncExitStack() as stack:
            sessions = {
                cluster: await stack.enter_async_context(simulated(tmp_path, cluster, head.address("agent")))
                for cluster, head in there.heads.items()
            }
            await all_up(there)
            await its_state_is_that_of_the_heads(there)
            nothing_is_mixed_up(there, sessions)
            await requests_need_to_expire(there)
            await one_id_is_each_clusters_own(there, sessions)
            await power_set_stays_at_the_centre(there)

    run(test())


def holds_all(observer: Observer, *topics: str) -> bool:
    return observer.held.keys() >= set(topics)


async def its_state_is_that_of_the_heads(there: Fleet) -> None:
    for cluster, head in there.heads.items():
        base = f"terrible/{cluster}/"
        async with observing(head.address("viewer")) as local:
            await until(partial(holds_all, local, f"{base}summary"))
            own = {t: p for t, p in there.seen.held.items() if t.startswith(base)}
            assert own == local.held, cluster
            assert len(own) == len({"status", "info", "summary", "bridge"}) + 2 * 4


def nothing_is_mixed_up(there: Fleet, sessions: dict[str, str]) -> None:
    held = there.seen.held
    assert len(set(sessions.values())) == len(CLUSTERS)
    macs = []
    for cluster, session in sessions.items():
        info = json.loads(held[f"terrible/{cluster}/info"])
        assert (info["cluster"], info["session"]) == (cluster, session)
        macs += [slot["mac"] for slot in info["slots"]]
        for node in ("node1", "node2"):
            assert json.loads(held[f"terrible/{cluster}/node/{node}/state"])["session"] == session
    assert len(set(macs)) == len(macs)


async def requests_need_to_expire(there: Fleet) -> None:
    await there.ask("rack", "power", id="no end", slots="node1", action="off", force=True)
    refused = await there.answered("rack", "no end", "error")
    assert refused["error"]["code"] == "bad_request"
    assert "expires" in refused["error"]["message"]
    await there.ask("rack", "power", id="off", slots="node1", action="off", force=True, expires=soon())
    await there.answered("rack", "off", "accepted")
    await there.answered("rack", "off")
    await until(lambda: there.seen.held["terrible/rack/node/node1/status"] == b"offline")
    others = [f"terrible/{cluster}/node/node1/status" for cluster in ("barn", "attic")]
    assert {there.seen.held[node] for node in others} == {b"online"}


async def one_id_is_each_clusters_own(there: Fleet, sessions: dict[str, str]) -> None:
    for cluster in CLUSTERS:
        await there.ask(cluster, "status", id="7", expires=soon())
    for cluster in CLUSTERS:
        assert (await there.answered(cluster, "7"))["data"]["session"] == sessions[cluster]
        assert len(there.answers(cluster, "7")) == 1


async def power_set_stays_at_the_centre(there: Fleet) -> None:
    head = there.heads["barn"]
    async with observing(head.address("viewer")) as local:
        for qos in (0, 1, 2):
            await there.say("terrible/barn/node/node1/power/set", b"off", qos)
            await there.say("terrible/barn/remote/request/power", b'{"id":"x"}', qos)
        await there.ask("barn", "status", id="after", expires=soon())
        await there.answered("barn", "after")
        came = {t for t, *_ in local.seen if t.endswith("/power/set") or "/request/" in t}
        assert came == {"terrible/barn/remote/request/status"}
    assert there.seen.held["terrible/barn/node/node1/status"] == b"online"
