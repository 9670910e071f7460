"""The tree as metric families, named by Prometheus' conventions: base units, `_total` for what counts up.

A node's phase is one series per phase, 0 or 1, as Prometheus has it for states; the sum over nodes is
how many are in which. What nobody knows has no series: a gauge frozen at its last value would be a lie.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from terrible.exporter.durations import BUCKETS, STAGES
from terrible.exporter.tree import OUTCOMES, Cluster, Tree
from terrible.model import Phase

NODE = ("cluster", "node")
_BOUNDS = [*(str(bound) for bound in BUCKETS), "+Inf"]


def families(tree: Tree, connected: bool) -> Iterator[Metric]:
    """Every metric; `connected` is whether there is a broker."""
    clusters = sorted(tree.clusters.items())
    yield GaugeMetricFamily(
        "terrible_broker_up", "Whether the exporter is connected to its broker.", connected
    )
    yield from _agents(clusters)
    yield from _nodes(clusters)
    yield from _counted_nodes(clusters)
    yield from _boots(clusters)


Clusters = list[tuple[str, Cluster]]


def _agents(clusters: Clusters) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "terrible_agent_up",
        "Whether the cluster's agent is seen to be online; 0 also while there is no broker.",
        labels=["cluster"],
    )
    about = InfoMetricFamily("terrible_agent", "The agent that is online.", labels=["cluster"])
    started = GaugeMetricFamily(
        "terrible_agent_start_time_seconds",
        "When the agent that is online was started, in Unix time of its head.",
        labels=["cluster"],
    )
    for name, cluster in clusters:
        if cluster.online is not None:
            up.add_metric([name], cluster.online)
        if (info := cluster.present) is not None:
            about.add_metric([name], {"host": info.host, "version": info.version})
            started.add_metric([name], info.started)
    yield from (up, about, started)


def _nodes(clusters: Clusters) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "terrible_node_up", "Whether the node is up. No series while its agent is away.", labels=NODE
    )
    wanted = GaugeMetricFamily(
        "terrible_node_wanted",
        "Whether the slot is to be on, by people's wish. No series while its agent is away.",
        labels=NODE,
    )
    phase = GaugeMetricFamily(
        "terrible_node_phase",
        "1 for the phase the node is in, 0 for all others. No series while its agent is away.",
        labels=(*NODE, "phase"),
    )
    for name, cluster in clusters:
        for node, standing in sorted(cluster.standings().items()):
            up.add_metric([name, node], standing.phase == Phase.UP)
            wanted.add_metric([name, node], standing.wish == "on")
            for one in Phase:
                phase.add_metric([name, node, one], standing.phase == one)
    yield from (up, wanted, phase)


def _counted_nodes(clusters: Clusters) -> Iterator[Metric]:
    attempts = CounterMetricFamily(
        "terrible_boot_attempts",
        "Attempts to boot that have ended, by how. Of those that ended while the exporter had no broker, "
        "each slot's last is counted.",
        labels=(*NODE, "outcome"),
    )
    served = CounterMetricFamily(
        "terrible_boot_served_bytes",
        "Bytes of boot files that nodes have read to their end, told when the attempt ends.",
        labels=NODE,
    )
    cycles = CounterMetricFamily(
        "terrible_node_power_cycles",
        "Times that the slot had power again after it was seen without, whoever wanted it and however long "
        "it was off. A port that does not tell whether it has power counts nothing.",
        labels=NODE,
    )
    for name, cluster in clusters:
        for slot, node in sorted(cluster.nodes.items()):
            for outcome in OUTCOMES:
                attempts.add_metric([name, slot, outcome], node.outcomes[outcome])
            served.add_metric([name, slot], node.served)
            cycles.add_metric([name, slot], node.power_cycles)
    yield from (attempts, served, cycles)


def _boots(clusters: Clusters) -> Iterator[Metric]:
    failures = CounterMetricFamily(
        "terrible_boot_failures",
        "Attempts that failed, by diagnosis with * for numbers and names; other where there are too many.",
        labels=["cluster", "diagnosis"],
    )
    seconds = HistogramMetricFamily(
        "terrible_boot_stage_duration_seconds",
        "How long the stages of a boot took that were passed, in attempts that began with the ROM.",
        labels=["cluster", "stage"],
    )
    for name, cluster in clusters:
        for reason, count in sorted(cluster.failures.items()):
            failures.add_metric([name, reason], count)
        for stage in STAGES:
            durations = cluster.stages[stage]
            buckets = list(zip(_BOUNDS, accumulate(durations.counts), strict=True))
            seconds.add_metric([name, stage], buckets, durations.sum)
    yield from (failures, seconds)
