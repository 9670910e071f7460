"""Hold docs/home-assistant.md and the discovery payloads against a real Home Assistant, in this process.

    PYTHON-OF-HOME-ASSISTANT script/hass.py PORT TERRIBLE

Run with a Python that has `homeassistant` and `paho-mqtt` installed, at best in an environment made for
it: on its first start Home Assistant installs more. PORT is that of a broker on this machine that holds
nothing yet, TERRIBLE the command of this project (`.venv-dev/bin/terrible`). Not a part of script/test.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from homeassistant import bootstrap, const, runner
from homeassistant.components import mqtt
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry, entity_registry

BASE = "terrible/demo"
ENTRY = "terrible"
NODES = (1, 2, 3, 4)
FAKE = {"v": 1, "wish": "on", "since": 1.0, "power": True, "addresses": [], "attempt": 1, "session": "none"}
DOCS = Path(__file__).parent.parent / "docs" / "home-assistant.md"


def documented() -> str:
    """The automations of the docs, for the cluster `demo` and in a hurry."""
    _, automations = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    return automations.replace("rack", "demo").replace("00:05:00", "00:00:02")


def configure(directory: Path, port: int) -> None:
    """A Home Assistant that knows its broker and the automations of the docs."""
    (directory / "configuration.yaml").write_text("automation: !include automations.yaml\n")
    (directory / "automations.yaml").write_text(documented())
    when = "2024-01-01T00:00:00+00:00"
    entry = {
        "entry_id": ENTRY,
        "domain": "mqtt",
        "title": "broker",
        "source": "user",
        "unique_id": None,
        "version": 1,
        "minor_version": 2,
        "created_at": when,
        "modified_at": when,
        "disabled_by": None,
        "pref_disable_new_entities": False,
        "pref_disable_polling": False,
        "discovery_keys": {},
        "options": {},
        "subentries": [],
        "data": {"broker": "127.0.0.1", "port": port, "protocol": "5"},
    }
    stored = {"key": "core.config_entries", "version": 1, "minor_version": 3, "data": {"entries": [entry]}}
    (directory / ".storage").mkdir()
    (directory / ".storage" / "core.config_entries").write_text(json.dumps(stored))


class Home:
    """What a person sees and presses."""

    def __init__(self, hass: HomeAssistant) -> None:
        self.hass = hass
        self.heard: list[tuple[str, str]] = []

    async def listen(self) -> None:
        """Keep what is asked, answered and announced."""
        for topics in (f"{BASE}/request/+", f"{BASE}/response/+", "homeassistant/device/+/config"):
            await mqtt.async_subscribe(
                self.hass, topics, lambda m: self.heard.append((m.topic, m.payload)), 1
            )

    def state(self, entity: str) -> str | None:
        found = self.hass.states.get(entity)
        return found.state if found else None

    def attributes(self, entity: str) -> dict[str, object]:
        return dict(self.hass.states.get(entity).attributes)

    def entities(self) -> list[str]:
        registry = entity_registry.async_get(self.hass)
        found = entity_registry.async_entries_for_config_entry(registry, ENTRY)
        return sorted(entity.entity_id for entity in found)

    def devices(self) -> dict[str, str | None]:
        """The name of each, and of the one it is connected through."""
        registry = device_registry.async_get(self.hass)
        found = device_registry.async_entries_for_config_entry(registry, ENTRY)
        names = {device.id: device.name for device in found}
        return {device.name: names.get(device.via_device_id) for device in found}

    async def press(self, *entities: str) -> None:
        await self.hass.services.async_call("button", "press", {"entity_id": list(entities)}, blocking=True)

    async def switch(self, entity: str, to: str) -> None:
        await self.hass.services.async_call("switch", f"turn_{to}", {"entity_id": entity}, blocking=True)

    async def publish(self, topic: str, payload: object, retain: bool = False) -> None:
        text = payload if isinstance(payload, str) else json.dumps(payload)
        await mqtt.async_publish(self.hass, topic, text, 1, retain)

    def answers(self, verb: str) -> int:
        return sum(topic == f"{BASE}/response/{verb}" and '"done"' in text for topic, text in self.heard)


async def until(condition: Callable[[], bool], what: str, limit: float = 30.0) -> None:
    """Wait for what must come; the name of it is printed then, or ends the run."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > limit:
            sys.exit(f"not seen within {limit:g} s: {what}")
        await asyncio.sleep(0.02)
    print(f"ok: {what} ({time.monotonic() - began:.2f} s)", flush=True)


async def demo(terrible: str, port: int, nodes: int) -> asyncio.subprocess.Process:
    """An agent with so many simulated nodes."""
    command = (
        terrible,
        "demo",
        "--broker",
        f"mqtt://127.0.0.1:{port}",
        "--speed",
        "10",
        "--nodes",
        str(nodes),
    )
    return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)


async def stop(agent: asyncio.subprocess.Process) -> None:
    """End it in order."""
    agent.terminate()
    await agent.wait()


async def look(home: Home) -> None:
    """Everything is there and says what it should."""
    await until(lambda: len(home.entities()) == 4 + 8 * len(NODES), "every entity")
    connected = {"demo": None, **{f"demo node{n}": "demo" for n in NODES}}
    await until(lambda: home.devices() == connected, "the nodes are connected through the head")
    await until(lambda: home.state("sensor.demo_nodes_up") == "4", "all up", 60)
    await until(lambda: home.state("sensor.demo_node1_address") == "10.42.0.11", "an address")
    await until(lambda: float(home.state("sensor.demo_node1_last_boot_duration") or 0) > 0, "a duration")


async def operate(home: Home) -> None:
    """Switches and buttons do what they say."""
    await home.switch("switch.demo_node1_power", "off")
    await until(lambda: home.state("sensor.demo_node1") == "off", "a switch turns a node off")
    await until(
        lambda: "unavailable" not in map(home.state, home.entities()), "nothing is unavailable for that"
    )
    await home.switch("switch.demo_node1_power", "on")
    await until(lambda: home.state("sensor.demo_node1") == "up", "and on")
    await until(lambda: home.attributes("event.demo_node1_event")["event_type"] == "up", "which is an event")
    await home.press("button.demo_node2_power_cycle")
    await until(lambda: home.state("sensor.demo_node2") == "off", "a cycle begins")
    await until(lambda: home.state("sensor.demo_node2") == "up", "and ends")
    await home.press("button.demo_node1_boot")
    await home.press("button.demo_node1_boot", "button.demo_node2_boot")
    await until(lambda: home.answers("boot") == 3, "three presses are three requests")
    for word, up in (("off", "0"), ("on", "4")):
        await home.press(f"button.demo_all_{word}")
        await until(lambda up=up: home.state("sensor.demo_nodes_up") == up, f"all {word}", 60)


async def complain(home: Home) -> None:
    """What is wrong is shown, here as if an agent had said so; the birth message brings the truth back."""
    problem = {"code": "boot_failed", "message": "bootcode sent, never came back"}
    state = {**FAKE, "phase": "failed", "problem": problem}
    await home.publish(f"{BASE}/node/node1/state", state)
    await until(lambda: home.state("binary_sensor.demo_node1_problem") == "on", "a problem")
    said = home.attributes("binary_sensor.demo_node1_problem")
    await until(lambda: (said["code"], said["diagnosis"]) == tuple(problem.values()), "with its diagnosis")
    counts = {"v": 1, "total": 4, "up": 4, "booting": 0, "failed": 0}
    await home.publish(f"{BASE}/summary", {**counts, "undervoltage": True})
    await until(lambda: home.state("binary_sensor.demo_supply_warning") == "on", "a supply warning")
    home.heard.clear()
    await home.publish("homeassistant/status", "online")
    await until(lambda: len(home.heard) == 1 + len(NODES), "everything again after a birth message", 4)
    await until(lambda: home.state("binary_sensor.demo_node1_problem") == "off", "the states as well")


async def automate(home: Home) -> None:
    """The automations of the docs run."""
    down = "automation.a_node_of_the_demo_is_down_for_5_minutes"
    await until(lambda: home.state(down) == "on", "the automations of the docs are valid")
    before = home.attributes(down)["last_triggered"]
    state = {**FAKE, "phase": "lost", "problem": None}
    await home.publish(f"{BASE}/node/node2/state", state)
    await until(
        lambda: home.attributes(down)["last_triggered"] != before, "a node that is down for long enough"
    )
    night = {"entity_id": "automation.everything_in_the_demo_off_at_night"}
    await home.hass.services.async_call("automation", "trigger", night, blocking=True)
    await until(lambda: home.state("sensor.demo_nodes_up") == "0", "everything off at night")


async def check(home: Home, terrible: str, port: int) -> None:
    """One agent, none, and one with a slot less."""
    await home.listen()
    agent = await demo(terrible, port, len(NODES))
    try:
        for part in (look, operate, complain, automate):
            await part(home)
    finally:
        await stop(agent)
    await until(
        lambda: {*map(home.state, home.entities())} == {"unavailable"}, "unavailable without an agent"
    )
    agent = await demo(terrible, port, len(NODES) - 1)
    try:
        await until(lambda: len(home.entities()) == 4 + 8 * (len(NODES) - 1), "a slot less leaves no orphan")
    finally:
        await stop(agent)


async def main(port: int, terrible: str) -> None:
    """A Home Assistant for as long as it takes."""
    with tempfile.TemporaryDirectory() as name:
        await asyncio.to_thread(configure, Path(name), port)
        hass = await bootstrap.async_setup_hass(runner.RuntimeConfig(config_dir=name, skip_pip=False))
        if hass is None or hass.config.recovery_mode:
            sys.exit("Home Assistant did not start; its log is above")
        await hass.async_start()
        print(f"Home Assistant {const.__version__}", flush=True)
        try:
            await check(Home(hass), terrible, port)
        finally:
            await hass.async_stop(force=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
