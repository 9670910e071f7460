"""The exporter as a process, on a real broker and the real agent over simulated Pis."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from terrible.cli import demo
from terrible.cli.soak import limits
from terrible.mqtt.address import BrokerAddress
from terrible.sim.faults import Fault, Kind
from terrible.sim.pi import Pi, Timing
from tests.cluster import boot_directory
from tests.mqtt import brokers

from .documented import rows
from .process import Exporting, Scrape, ended, exporting
from .promtool import judged

SPEED = 50.0
NODES = 2


@asynccontextmanager
async def agent(base: Path, port: int) -> AsyncIterator[None]:
    """A real agent over simulated Pis, until the block ends; the second fails its first boot."""
    timing = Timing().scaled(SPEED)
    pis = [Pi(timing=timing), Pi(timing=timing, faults=[Fault(Kind.BOOTCODE_STALLS)])]
    simulated = demo.Simulated(pis, SPEED, limits(SPEED))
    async with demo.cluster(simulated, boot_directory(base / "boot"), BrokerAddress("127.0.0.1", port)):
        yield


async def cycle(port: int, node: str) -> None:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.publish(f"terrible/{demo.CLUSTER}/node/{node}/power/set", "cycle", qos=1)


def all_up(scrape: Scrape) -> bool:
    return scrape.values("terrible_node_up") == [1.0] * NODES


def ups(scrape: Scrape) -> float:
    return scrape.sum("terrible_boot_attempts_total", outcome="up")


async def connected(exporter: Exporting) -> None:
    await exporter.until(lambda s: s.values("terrible_broker_up") == [1], "it is connected")


@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
def test_a_live_cluster_s_metrics_are_those_of_the_docs(tmp_path: Path, kind: str) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            broker = await stack.enter_async_context(brokers.running(brokers.make(kind, tmp_path)))
            exporter = await stack.enter_async_context(exporting(broker.port))
            await connected(exporter)
            await stack.enter_async_context(agent(tmp_path, broker.port))
            scrape = await exporter.until(lambda s: all_up(s) and ups(s) == NODES, "both are up and counted")
            await cycle(broker.port, "node1")
            scrape = await exporter.until(lambda s: ups(s) == NODES + 1, "node1 came up again")
        assert scrape.values("terrible_node_power_cycles_total", node="node1") == [1]
        assert scrape.values("terrible_node_power_cycles_total", node="node2") == [1], "after its failure"
        assert scrape.values("terrible_boot_attempts_total", node="node2", outcome="failed") == [1]
        assert scrape.sum("terrible_boot_failures_total") == 1
        assert scrape.values("terrible_boot_stage_duration_seconds_count", stage="loader") == [NODES + 1]
        assert scrape.sum("terrible_boot_served_bytes_total", node="node2") > 4_000_000
        told = {f.name: (f.type, labels(scrape, f.name)) for f in scrape.families.values()}
        documented = {row.name.removesuffix("_total"): (row.type, row.labels) for row in rows()}
        assert told == documented
        lint(scrape.text)

    brokers.run(story())


def labels(scrape: Scrape, name: str) -> frozenset[str]:
    """The labels of a family's samples, of a histogram's without the bound."""
    return frozenset().union(*(sample.labels for sample in scrape.families[name].samples)) - {"le"}


def lint(text: str) -> None:
    """What Prometheus' own tool says of names and units."""
    judged("check", "metrics", text=text)


def test_what_was_before_is_not_counted_nor_is_anything_twice(tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            broker = await stack.enter_async_context(brokers.running(brokers.make("mosquitto", tmp_path)))
            await stack.enter_async_context(agent(tmp_path, broker.port))
            async with exporting(broker.port) as earlier:
                await earlier.until(all_up, "both are up")
            exporter = await stack.enter_async_context(exporting(broker.port))
            scrape = await exporter.until(all_up, "both are up")
            assert ups(scrape) == 0
            await cycle(broker.port, "node2")
            await exporter.until(lambda s: ups(s) == 1 and all_up(s), "node2 came up again")
            await broker.kill()
            scrape = await exporter.until(lambda s: s.values("terrible_broker_up") == [0], "it notices")
            assert scrape.values("terrible_agent_up") == [0]
            assert scrape.values("terrible_node_up") == []
            await broker.start()
            scrape = await exporter.until(all_up, "the agent is back")
            await cycle(broker.port, "node2")
            scrape = await exporter.until(lambda s: ups(s) > 1 and all_up(s), "node2 once more")
            assert ups(scrape) == 2

    brokers.run(story())


def test_an_agent_that_ends_takes_its_nodes_along(tmp_path: Path) -> None:
    async def story() -> None:
        async with brokers.running(brokers.make("mosquitto", tmp_path)) as broker:
            async with exporting(broker.port, "--cluster", demo.CLUSTER) as exporter:
                await connected(exporter)
                assert (await exporter.scrape()).values("terrible_agent_up", cluster=demo.CLUSTER) == [0]
                async with agent(tmp_path, broker.port):
                    await exporter.until(all_up, "both are up")
                scrape = await exporter.until(lambda s: s.values("terrible_agent_up") == [0], "it is gone")
        for name in ("terrible_node_up", "terrible_node_phase", "terrible_agent_info"):
            assert scrape.values(name) == []

    brokers.run(story())


def test_only_the_cluster_that_was_asked_for(tmp_path: Path) -> None:
    async def story() -> None:
        async with brokers.running(brokers.make("mosquitto", tmp_path)) as broker:
            async with exporting(broker.port, "--cluster", "rack") as exporter:
                await connected(exporter)
                async with aiomqtt.Client("127.0.0.1", broker.port) as client:
                    for cluster in ("other", "rack"):
                        await client.publish(f"terrible/{cluster}/status", "online", qos=1)
                scrape = await exporter.until(lambda s: s.values("terrible_agent_up") == [1], "rack is heard")
        assert scrape.values("terrible_agent_up", cluster="other") == []

    brokers.run(story())


def test_without_a_broker_it_says_so_and_goes_on_trying(tmp_path: Path) -> None:
    async def story() -> None:
        broker = brokers.make("mosquitto", tmp_path)
        async with exporting(broker.port) as exporter:
            assert (await exporter.scrape()).values("terrible_broker_up") == [0]
            async with brokers.running(broker):
                await connected(exporter)

    brokers.run(story())


@pytest.mark.parametrize(
    ("arguments", "code", "names"),
    [
        (("--broker", "mqtt://me:hunter2@head"), 2, "TERRIBLE_BROKER"),
        (("--broker", "http://head"), 2, "mqtt://"),
        (("--listen", "9817"), 2, "127.0.0.1:9817"),
        (("--listen", "127.0.0.1:99999"), 2, "127.0.0.1:9817"),
        (("--listen", "::1:9817"), 2, "[::1]:9817"),
        (("--cluster", "a/#"), 2, "--cluster"),
        (("--config", "/nowhere.toml"), 78, "/nowhere.toml"),
    ],
)
def test_what_makes_no_sense_is_one_clear_line(arguments: tuple[str, ...], code: int, names: str) -> None:
    async def story() -> None:
        ended_with, said = await ended(*arguments)
        assert ended_with == code
        assert said.count("\n") == 1
        assert names in said
        assert "hunter2" not in said

    asyncio.run(story())


def test_a_bad_broker_of_the_environment_is_told_without_its_password() -> None:
    async def story() -> None:
        code, said = await ended(environment={"TERRIBLE_BROKER": "mqtt://me:hunter2@head/path"})
        assert (code, said.count("\n")) == (2, 1)
        assert "TERRIBLE_BROKER" in said
        assert "hunter2" not in said

    asyncio.run(story())


def test_a_place_that_is_taken_is_one_clear_line() -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            place = f"127.0.0.1:{taken.getsockname()[1]}"
            code, said = await ended("--listen", place)
        assert code == 1
        assert f"cannot listen at {place}" in said
        assert "Traceback" not in said

    asyncio.run(story())


def test_it_listens_on_ipv6_too(tmp_path: Path) -> None:
    async def story() -> None:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("no IPv6 here")
        async with brokers.running(brokers.make("mosquitto", tmp_path)) as broker:
            async with exporting(broker.port, host="[::1]") as exporter:
                await connected(exporter)

    brokers.run(story())


def test_without_the_library_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['prometheus_client'] = None; from terrible.__main__ import main; "
    told = subprocess.run(
        [sys.executable, "-c", program + "sys.exit(main(['exporter']))"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    assert told.stderr.count("\n") == 1
    assert "pip install 'terrible[prometheus]'" in told.stderr
