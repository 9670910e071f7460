"""What Home Assistant must be told to show a cluster: one discovery payload for each device. [pure]

Device-based discovery, which Home Assistant has since 2024.11. The head is a device, and each slot one
`via` it, whichever Pi sits there. All entities are available while the agent is: power, boot and state
are wanted most while a node is off.
"""

from __future__ import annotations

import json
from typing import Any

from terrible.errors import Code
from terrible.model import Info, Phase, Slot
from terrible.mqtt.payloads import Publication
from terrible.mqtt.topics import Kind, Topics

EVENTS = (
    *("up", "disk", "failed", "left", "stopped"),  # the outcome of an attempt
    *("watchdog", "shutdown", "probed", "refused", str(Code.OVERCURRENT)),
    *("flashed", "not_flashed", str(Code.DIRTY_CARD)),
)
"""Every `event_type` of `node/<name>/event`; Home Assistant refuses one that was not announced."""
_SIGNED = '{"origin":{"name":"terrible",'
"""What each of our payloads begins with, those of earlier versions too: it is how we know them again."""

Fields = dict[str, Any]


def publications(info: Info, topics: Topics, prefix: str) -> tuple[Publication, ...]:
    """The head's device first, for a `via_device` must be known, and then one for each slot."""
    devices = [_head(info, topics), *(_node(info, slot, topics) for slot in info.slots)]
    return tuple(_publication(prefix, device) for device in devices)


def every(prefix: str) -> str:
    """The filter that matches the discovery topics of all devices, of this cluster or not."""
    return f"{prefix}/device/+/config"


def is_own(topic: str, payload: bytes, cluster: str, prefix: str) -> bool:
    """Whether an agent of this cluster has published that; nobody else's is ever to be touched.

    The id alone would do, but somebody may have chosen one like ours for a device made by hand.
    """
    head = f"{prefix}/device/{_id(cluster)}"
    named = topic == f"{head}/config" or (topic.startswith(f"{head}_") and topic.endswith("/config"))
    return named and payload.startswith(_SIGNED.encode())


def _publication(prefix: str, device: Fields) -> Publication:
    (identifier,) = device["device"]["identifiers"]
    payload = json.dumps(device, separators=(",", ":")).encode()
    return Publication(f"{prefix}/device/{identifier}/config", payload)


def _id(cluster: str, *slot: str) -> str:
    """Unique among all clusters: neither a cluster's name nor a slot's has an underscore."""
    return "_".join(["terrible", cluster, *slot])


def _device(info: Info, topics: Topics, device: Fields, state: str, components: dict[str, Fields]) -> Fields:
    (identifier,) = device["identifiers"]
    return {
        "origin": {"name": "terrible", "sw_version": info.version},
        "device": device,
        "availability_topic": topics.of(Kind.STATUS),
        "state_topic": state,
        "qos": 1,
        "components": {
            key: {"unique_id": f"{identifier}_{key}", **component} for key, component in components.items()
        },
    }


def _head(info: Info, topics: Topics) -> Fields:
    device = {
        "identifiers": [_id(topics.cluster)],
        "name": topics.cluster,
        "model": "Cluster head",
        "sw_version": info.version,
    }
    components = {
        "up": _nodes_up(topics),
        "supply": _diagnostic(
            "binary_sensor", "Supply warning", _on_if("value_json.undervoltage"), device_class="problem"
        ),
        "on": _request("All on", "mdi:power-on", topics, "power", {"slots": "all", "action": "on"}),
        # Without `force`: each node is asked to shut down before its power is cut.
        "off": _request("All off", "mdi:power-off", topics, "power", {"slots": "all", "action": "off"}),
    }
    return _device(info, topics, device, topics.of(Kind.SUMMARY), components)


def _node(info: Info, slot: Slot, topics: Topics) -> Fields:
    device = {
        "identifiers": [_id(topics.cluster, slot.name)],
        "name": f"{topics.cluster} {slot.name}",
        "model": f"Raspberry Pi on USB port {slot.location}",
        "via_device": _id(topics.cluster),
    }
    components = {
        "state": {
            "platform": "sensor",
            "name": None,  # the main entity is called as its device
            "device_class": "enum",
            "options": list(Phase),
            "value_template": "{{ value_json.phase }}",
            "icon": "mdi:raspberry-pi",
        },
        "power": _power(slot, topics),
        "cycle": {
            "platform": "button",
            "name": "Power cycle",
            "device_class": "restart",
            "command_topic": topics.of(Kind.POWER_SET, slot.name),
            "payload_press": "cycle",
        },
        "boot": _request("Boot", "mdi:rocket-launch", topics, "boot", {"slots": slot.name}),
        "address": _diagnostic(
            "sensor",
            "Address",
            "{{ value_json.addresses | join(', ') or None }}",  # None is shown as unknown
            icon="mdi:ip-network",
        ),
        "duration": _last_boot(slot, topics),
        "problem": _problem(slot, topics),
        "event": {
            "platform": "event",
            "name": "Event",
            "state_topic": topics.of(Kind.EVENT, slot.name),
            "event_types": list(EVENTS),
            "icon": "mdi:timeline-alert",
        },
    }
    return _device(info, topics, device, topics.of(Kind.STATE, slot.name), components)


def _nodes_up(topics: Topics) -> Fields:
    counts = ", ".join(f"'{name}': value_json.{name}" for name in ("total", "booting", "failed"))
    return {
        "platform": "sensor",
        "name": "Nodes up",
        "value_template": "{{ value_json.up }}",
        "unit_of_measurement": "nodes",
        "state_class": "measurement",
        "json_attributes_topic": topics.of(Kind.SUMMARY),
        "json_attributes_template": f"{{{{ {{{counts}}} | tojson }}}}",
        "icon": "mdi:server-network",
    }


def _power(slot: Slot, topics: Topics) -> Fields:
    """The wish, told as soon as it is changed; what the port does follows, or an event says why not."""
    return {
        "platform": "switch",
        "name": "Power",
        "device_class": "switch",
        "command_topic": topics.of(Kind.POWER_SET, slot.name),
        "payload_on": "on",
        "payload_off": "off",
        "optimistic": False,
        "value_template": "{{ value_json.wish }}",
    }


def _last_boot(slot: Slot, topics: Topics) -> Fields:
    """How long the last attempt took to `up`; unknown where it did not get there."""
    said = ", ".join(f"'{name}': value_json.{name}" for name in ("outcome", "diagnosis", "attempt"))
    return _diagnostic(
        "sensor",
        "Last boot duration",
        "{{ value_json.seconds if value_json.outcome == 'up' else None }}",
        state_topic=topics.of(Kind.BOOT, slot.name),
        device_class="duration",
        unit_of_measurement="s",
        state_class="measurement",
        suggested_display_precision=1,
        json_attributes_topic=topics.of(Kind.BOOT, slot.name),
        json_attributes_template=f"{{{{ {{{said}}} | tojson }}}}",
    )


def _problem(slot: Slot, topics: Topics) -> Fields:
    said = "{'code': problem.code, 'diagnosis': problem.message} if problem else {}"
    return _diagnostic(
        "binary_sensor",
        "Problem",
        _on_if("value_json.problem"),
        device_class="problem",
        json_attributes_topic=topics.of(Kind.STATE, slot.name),
        json_attributes_template=f"{{% set problem = value_json.problem %}}{{{{ ({said}) | tojson }}}}",
    )


def _diagnostic(platform: str, name: str, template: str, **more: Any) -> Fields:
    said = {"platform": platform, "name": name, "value_template": template}
    return {**said, "entity_category": "diagnostic", **more}


def _on_if(what: str) -> str:
    return f"{{{{ 'ON' if {what} else 'OFF' }}}}"


def _request(name: str, icon: str, topics: Topics, verb: str, asked: Fields) -> Fields:
    """A button that makes a request, each time with an id of its own: a repeated one has no effect."""
    identifier = f"ha-{asked.get('action', verb)}-{{{{ now().timestamp() }}}}"
    return {
        "platform": "button",
        "name": name,
        "command_topic": topics.of(Kind.REQUEST, verb),
        "command_template": json.dumps({"id": identifier, **asked}, separators=(",", ":")),
        "icon": icon,
    }
