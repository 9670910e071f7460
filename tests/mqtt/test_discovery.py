"""What Home Assistant is told: which entities, under which ids, and that what they do is understood."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from terrible import slot as slot_module
from terrible.errors import Code, Problem
from terrible.model import Info, Phase, Request
from terrible.mqtt import discovery, payloads
from terrible.mqtt.commands import Commands, Message
from terrible.mqtt.payloads import Publication
from terrible.mqtt.topics import Topics
from terrible.seams import News

from .brokers import missing
from .examples import BASE, CLUSTER, INFO, SLOTS, report, reports, transcript

PREFIX = "homeassistant"
TOPICS = Topics(CLUSTER)
ROOT = Path(__file__).parent.parent.parent
CLOCK = "{{ now().timestamp() }}"


def told(info: Info = INFO) -> tuple[Publication, ...]:
    return discovery.publications(info, Topics(info.cluster), PREFIX)


def devices(info: Info = INFO) -> list[dict[str, Any]]:
    return [json.loads(publication.payload) for publication in told(info)]


def entities(device: dict[str, Any]) -> list[dict[str, Any]]:
    """The components with what they take over from their device, as Home Assistant reads them."""
    shared = {key: value for key, value in device.items() if key.endswith("_topic")}
    return [{**shared, **component} for component in device["components"].values()]


def entity_ids(device: dict[str, Any]) -> list[str]:
    """As Home Assistant makes them: the platform, the device's name and the entity's own, if it has one."""
    named = [
        (e["platform"], " ".join(filter(None, [device["device"]["name"], e["name"]])))
        for e in entities(device)
    ]
    return [f"{platform}.{re.sub('[^a-z0-9]+', '_', name.lower())}" for platform, name in named]


def test_the_entities_of_the_head_and_of_a_node() -> None:
    head, node, *_ = devices()
    kinds = ("entity_category", "device_class", "unit_of_measurement")
    assert {
        eid: tuple(e.get(k) for k in kinds) for eid, e in zip(entity_ids(head), entities(head), strict=True)
    } == {
        "sensor.rack_1_nodes_up": (None, None, "nodes"),
        "binary_sensor.rack_1_supply_warning": ("diagnostic", "problem", None),
        "button.rack_1_all_on": (None, None, None),
        "button.rack_1_all_off": (None, None, None),
    }
    assert {
        eid: tuple(e.get(k) for k in kinds) for eid, e in zip(entity_ids(node), entities(node), strict=True)
    } == {
        "sensor.rack_1_node1": (None, "enum", None),
        "switch.rack_1_node1_power": (None, "switch", None),
        "button.rack_1_node1_power_cycle": (None, "restart", None),
        "button.rack_1_node1_boot": (None, None, None),
        "sensor.rack_1_node1_address": ("diagnostic", None, None),
        "sensor.rack_1_node1_last_boot_duration": ("diagnostic", "duration", "s"),
        "binary_sensor.rack_1_node1_problem": ("diagnostic", "problem", None),
        "event.rack_1_node1_event": (None, None, None),
    }


def test_the_head_is_known_before_the_nodes_that_are_connected_through_it() -> None:
    head, *nodes = devices()
    assert head["device"]["identifiers"] == ["terrible_rack-1"]
    assert [node["device"]["via_device"] for node in nodes] == ["terrible_rack-1"] * len(SLOTS)
    assert all(publication.retain and publication.qos == 1 for publication in told())


def test_ids_are_unique_among_all_clusters_and_slots() -> None:
    """Names that read the same when put together, and slots called as the keys of the head."""
    clusters = {"a": ("b-c", "up", "on"), "a-b": ("c", "b-c"), "a-b-c": ("c",)}
    infos = [
        replace(INFO, cluster=cluster, slots=tuple(replace(SLOTS[0], name=name) for name in names))
        for cluster, names in clusters.items()
    ]
    topics = [publication.topic for info in infos for publication in told(info)]
    uniques = [e["unique_id"] for info in infos for device in devices(info) for e in entities(device)]
    assert len(topics) == len(set(topics))
    assert len(uniques) == len(set(uniques))
    for topic in topics:
        assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", topic), "what Home Assistant takes"


def test_everything_is_available_while_the_agent_is() -> None:
    for device in devices():
        assert device["availability_topic"] == f"{BASE}/status"
        assert not any("availability" in key for e in device["components"].values() for key in e)


def test_all_phases_and_all_kinds_of_events_are_announced() -> None:
    state, *_, event = entities(devices()[1])
    assert set(state["options"]) == set(Phase)
    source = "".join(path.read_text() for path in (ROOT / "terrible").glob("*.py"))
    happened = set(re.findall(r"happened\(\s*\"(\w+)\"", source))
    ended = {"up", "disk", *re.findall(r"closed\(\s*\"(\w+)\"", source)}
    assert {"watchdog", "shutdown"} <= happened
    assert {"failed", "left", "stopped"} <= ended
    assert set(event["event_types"]) == happened | ended | {"refused"} | {str(c) for c in slot_module._WHY}


def asked(entity: dict[str, Any], payload: str) -> object:
    return Commands(TOPICS).read(Message(entity["command_topic"], payload.encode()), now=0.0)


def test_what_switches_and_buttons_send_is_understood() -> None:
    _, _, everything_on, everything_off = entities(devices()[0])
    _, power, cycle, boot, *_ = entities(devices()[1])
    sent = {
        e["command_template"].replace(CLOCK, "1764093298.12345"): e
        for e in (everything_on, everything_off, boot)
    }
    requests = [asked(entity, payload) for payload, entity in sent.items()]
    assert requests == [
        Request("power", "all", "on", id="ha-on-1764093298.12345"),
        Request("power", "all", "off", force=False, id="ha-off-1764093298.12345"),
        Request("boot", "node1", id="ha-boot-1764093298.12345"),
    ]
    assert [e["command_template"].count(CLOCK) for e in sent.values()] == [1, 1, 1], "an id for each press"
    words = [asked(power, power["payload_on"]), asked(power, power["payload_off"])]
    assert [*words, asked(cycle, cycle["payload_press"])] == [
        Request("power", "node1", action) for action in ("on", "off", "cycle")
    ]
    assert power["optimistic"] is False


def test_templates_read_only_what_is_published() -> None:
    problem = Problem(Code.BOOT_FAILED, "bootcode sent, never came back")
    news: tuple[News, ...] = (
        *(replace(r, problem=problem) for r in reports()),
        transcript("node1"),
        report(SLOTS[0]),
    )
    published = [p for one in news for p in payloads.publications(one, TOPICS, "s1", 0.0)]
    held = {p.topic: p.payload for p in [*published, payloads.summary(4, reports(), TOPICS)]}
    for entity in (e for device in devices()[:2] for e in entities(device)):
        for template, topic in (
            ("value_template", "state_topic"),
            ("json_attributes_template", "json_attributes_topic"),
        ):
            read = set(re.findall(r"value_json\.(\w+)", entity.get(template, "")))
            assert read <= set(json.loads(held[entity[topic]])) if read else True, entity["unique_id"]


def test_only_what_an_agent_of_this_cluster_has_published_is_its_own() -> None:
    node = f"{PREFIX}/device/terrible_rack-1_node1/config"
    ours = told()[1].payload
    assert all(discovery.is_own(p.topic, p.payload, CLUSTER, PREFIX) for p in told())
    assert discovery.is_own(f"{PREFIX}/device/terrible_rack-1_gone/config", ours, CLUSTER, PREFIX)
    made_by_hand = b'{"device":{"identifiers":["x"]},"origin":{"name":"me"}}'
    assert not discovery.is_own(node, made_by_hand, CLUSTER, PREFIX)
    assert not discovery.is_own(node, b"", CLUSTER, PREFIX)
    for other in (
        "terrible_rack",
        "terrible_rack_1_node1",
        "terrible_rack-11",
        "terrible_rack-1-2_node1",
        "hue",
    ):
        assert not discovery.is_own(f"{PREFIX}/device/{other}/config", ours, CLUSTER, PREFIX), other
    assert not discovery.is_own(node, ours, CLUSTER, "other")


def test_the_examples_in_the_docs_name_entities_that_exist() -> None:
    text = (ROOT / "docs" / "home-assistant.md").read_text()
    existing = {eid for device in devices(replace(INFO, cluster="rack")) for eid in entity_ids(device)}
    named = set(re.findall(r"\b(?:sensor|binary_sensor|switch|button|event)\.rack_\w*[a-z0-9]\b", text))
    assert len(named) > 15
    assert named <= existing
    node1 = {eid for eid in existing if "node" not in eid.replace("nodes_up", "") or "node1" in eid}
    assert node1 <= named, "each is explained"


def test_the_examples_in_the_docs_are_yaml() -> None:
    try:
        yaml = importlib.import_module("yaml")  # amqtt brings it along
    except ImportError:
        missing("PyYAML is not installed")
    text = (ROOT / "docs" / "home-assistant.md").read_text()
    card, automations = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL))
    assert [inner["type"] for inner in card["cards"]] == ["glance", "entities"]
    assert [automation["id"] for automation in automations] == ["rack_node_down", "rack_off_at_night"]


@pytest.mark.parametrize("prefix", ["homeassistant", "smart/home"])
def test_the_filter_matches_what_is_published(prefix: str) -> None:
    pattern = discovery.every(prefix).replace("+", "[^/]+")
    topics = [publication.topic for publication in discovery.publications(INFO, TOPICS, prefix)]
    assert all(re.fullmatch(pattern, topic) for topic in topics)
