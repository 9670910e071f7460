"""docs/prometheus.md says what the code does, and Prometheus takes what it shows."""

from __future__ import annotations

import re
from pathlib import Path

from terrible.cli.exporter import PLACE
from terrible.exporter.durations import STAGES
from terrible.exporter.families import families
from terrible.exporter.reasons import MOST
from terrible.exporter.tree import LISTENED, OUTCOMES, Tree

from .documented import DOCS, block, rows
from .promtool import judged
from .telling import Teller, attempt


def told() -> dict[str, tuple[str, frozenset[str]]]:
    """Every metric as Prometheus sees it: its name, type and labels."""
    tree = Tree()
    teller = Teller(tree)
    teller.starts()
    teller.attempted(attempt(1, "failed"))
    found = {}
    for metric in families(tree, connected=True):
        name = {"counter": f"{metric.name}_total", "info": f"{metric.name}_info"}.get(
            metric.type, metric.name
        )
        labels = frozenset().union(*(sample.labels for sample in metric.samples)) - {"le"}
        found[name] = ("gauge" if metric.type == "info" else metric.type, labels)
    return found


def test_the_table_lists_every_metric_with_its_type_and_labels() -> None:
    assert {row.name: (row.type, row.labels) for row in rows()} == told()


def test_values_of_labels_and_defaults_are_those_of_the_code() -> None:
    text = DOCS.read_text()
    for word in (*STAGES, *OUTCOMES, *(kind for kind in LISTENED)):
        assert f"`{word}`" in text
    assert f"http://{PLACE}/metrics" in text
    assert f"\n  {MOST} different ones" in text
    assert PLACE in block("yaml", "scrape_configs")


def test_rules_name_only_metrics_that_there_are() -> None:
    rules = block("yaml", "groups")
    assert {*re.findall(r"\bterrible_\w+", rules)} <= told().keys()
    assert rules.count("alert:") == 3


def test_prometheus_takes_the_rules_and_the_scrape_config(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(block("yaml", "groups"))
    (tmp_path / "prometheus.yml").write_text(block("yaml", "scrape_configs") + "rule_files: [rules.yml]\n")
    judged("check", "config", str(tmp_path / "prometheus.yml"))


STORIES = """
rule_files: [rules.yml]
tests:
  - interval: 1m
    input_series:
      - {series: 'terrible_broker_up', values: '1x20 0x20'}
      - {series: 'terrible_agent_up{cluster="rack"}', values: '1x10 0x30'}
      - {series: 'terrible_agent_up{cluster="other"}', values: '1x40'}
      - {series: 'terrible_node_up{cluster="rack",node="down"}', values: '0x10'}
      - {series: 'terrible_node_wanted{cluster="rack",node="down"}', values: '1x10'}
      - {series: 'terrible_node_up{cluster="rack",node="off"}', values: '0x10'}
      - {series: 'terrible_node_wanted{cluster="rack",node="off"}', values: '0x10'}
      - {series: 'terrible_node_up{cluster="rack",node="halted"}', values: '0x10'}
      - {series: 'terrible_node_wanted{cluster="rack",node="halted"}', values: '1x10'}
      - {series: 'terrible_node_phase{cluster="rack",node="halted",phase="halted"}', values: '1x10'}
      - series: terrible_boot_attempts_total{cluster="rack",node="n1",outcome="failed"}
        values: 0x5 4x35
      - {series: 'terrible_boot_attempts_total{cluster="rack",node="n1",outcome="up"}', values: '0+9x40'}
      - {series: 'terrible_boot_attempts_total{cluster="rack",node="n2",outcome="failed"}', values: '7x40'}
    alert_rule_test:
      - {alertname: NodeDown, eval_time: 4m}
      - alertname: NodeDown
        eval_time: 6m
        exp_alerts:
          - exp_labels: {cluster: rack, node: down}
            exp_annotations: {summary: down of rack has not been up for 5 minutes}
      - {alertname: NodeDown, eval_time: 18m}
      - {alertname: AgentGone, eval_time: 10m}
      - alertname: AgentGone
        eval_time: 14m
        exp_alerts:
          - exp_labels: {cluster: rack}
            exp_annotations:
              summary: no agent of rack to be seen; systemctl status terrible, or is the broker down?
      - alertname: AgentGone
        eval_time: 30m
        exp_alerts:
          - exp_labels: {cluster: rack}
            exp_annotations:
              summary: no agent of rack to be seen; systemctl status terrible, or is the broker down?
          - exp_annotations:
              summary: no agent to be seen; systemctl status terrible, or is the broker down?
      - {alertname: BootsFailing, eval_time: 5m}
      - alertname: BootsFailing
        eval_time: 30m
        exp_alerts:
          - exp_labels: {cluster: rack, node: n1}
            exp_annotations: {summary: n1 of rack failed 4 boots within an hour}
"""


def test_each_alert_fires_for_what_it_says_and_for_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(block("yaml", "groups"))
    (tmp_path / "stories.yml").write_text(STORIES)
    judged("test", "rules", "stories.yml", directory=tmp_path)
