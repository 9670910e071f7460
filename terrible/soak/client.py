"""The MQTT side of a soak: fills the view, and asks."""

from __future__ import annotations

import json

from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.payloads import Publication
from terrible.mqtt.topics import Kind
from terrible.remote.line import Line
from terrible.soak.view import LISTENED, View


class MqttHead:
    """The agent behind a broker (soak.cycle.Head). Both may go and come back."""

    def __init__(self, address: BrokerAddress, cluster: str) -> None:
        self.view = View(cluster)
        filters = [self.view.topics.every(kind) for kind in LISTENED]
        self._line = Line(address, "soak", filters, self._take, self.view.cut_off)

    async def run(self) -> None:
        """Keep connected until cancelled."""
        await self._line.run()

    async def ask(self, slot: str, number: str, force: bool) -> bool:
        """Ask for a power cycle; whether the broker has it."""
        wish = {"v": 1, "id": number, "slots": slot, "action": "cycle", "force": force}
        topic = self.view.topics.of(Kind.REQUEST, "power")
        return await self._line.say(Publication(topic, json.dumps(wish).encode(), retain=False))

    def _take(self, topic: str, payload: bytes, retained: bool) -> None:
        self.view.take(topic, payload)
