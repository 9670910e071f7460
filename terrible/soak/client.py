"""The MQTT side of a soak: keeps connected, fills the view, and asks."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import ssl

import aiomqtt

from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.topics import Kind
from terrible.soak.view import LISTENED, View

PAUSE = 1.0
"""Seconds between two tries to reach the broker."""
CONFIRM = 3.0
"""Seconds that the broker has to confirm a request; one made twice has the same id."""
_quiet = logging.getLogger(f"{__name__}.paho")
_quiet.setLevel(logging.CRITICAL)
log = logging.getLogger(__name__)


class MqttHead:
    """The agent behind a broker (soak.cycle.Head). Both may go and come back."""

    def __init__(self, address: BrokerAddress, cluster: str) -> None:
        self.view = View(cluster)
        self._address = address
        self._client: aiomqtt.Client | None = None
        self._noted = ""

    async def run(self) -> None:
        """Keep connected until cancelled."""
        while True:
            try:
                await self._connection()
            except (aiomqtt.MqttError, OSError) as error:
                self._note(f"no broker at {self._address}: {error}; trying on")
            await asyncio.sleep(PAUSE)

    async def ask(self, slot: str, number: str, force: bool) -> bool:
        """Ask for a power cycle; whether the broker has it."""
        wish = {"v": 1, "id": number, "slots": slot, "action": "cycle", "force": force}
        if self._client is None:
            return False
        topic = self.view.topics.of(Kind.REQUEST, "power")
        try:
            await self._client.publish(topic, json.dumps(wish), qos=1, timeout=CONFIRM)
        except aiomqtt.MqttError as error:
            log.debug("request for %s: %s", slot, error)
            return False
        return True

    def _note(self, trouble: str) -> None:
        """Say it once until it is over."""
        if trouble and trouble != self._noted:
            log.warning("%s", trouble)
        self._noted = trouble

    async def _connection(self) -> None:
        """One connection from beginning to end."""
        async with self._fresh() as client:
            await client.subscribe([(self.view.topics.every(kind), 1) for kind in LISTENED])
            self._client = client
            self._note("")
            try:
                async for message in client.messages:
                    self.view.take(message.topic.value, bytes(message.payload))
            finally:
                self._client = None
                self.view.cut_off()

    def _fresh(self) -> aiomqtt.Client:
        """A new client each time, as in mqtt.connection: a used one sends again what it had under way."""
        address = self._address
        return aiomqtt.Client(
            address.host,
            address.port,
            username=address.username,
            password=address.password,
            identifier=f"terrible-soak-{secrets.token_hex(4)}",
            logger=_quiet,
            tls_context=ssl.create_default_context(cafile=address.ca_file) if address.tls else None,
            max_queued_incoming_messages=0,
        )
