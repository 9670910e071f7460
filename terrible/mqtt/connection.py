"""One connection to a broker, from opening to closing; the next one is another object.

MQTT 5 is spoken first, 3.1.1 with a broker that refuses it. A fresh aiomqtt client each time, because a
used one sends again what it had under way, after newer values. Works around what differs between 2.3.1
and 2.5.1, and what keeps either from ending in time (facts/arm.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt
from aiomqtt import ProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from terrible.mqtt import trouble
from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.commands import Message
from terrible.mqtt.ending import GOODBYE, in_peace, look_at, uninterrupted, within
from terrible.mqtt.payloads import Publication
from terrible.mqtt.reading import Reader

KEEPALIVE = 10
"""Seconds; a broker gives up after one and a half times that (MQTT 3.1.1, 3.1.2.10)."""
_LARGEST_SENT = 256 * 1024 * 1024
"""Bytes of a packet that MQTT can carry; a broker may tell less, and throws out whoever sends more."""
_AROUND = 1024
"""Bytes of a packet around its payload, at most: our topics and properties are short."""
_CONNECT = 3.0
"""Seconds for the TCP connect, which blocks a thread that the end of the process waits for."""
_INCOMING = 1000
"""Messages kept between two turns of the loop; what a flood brings beyond is lost."""
_FLEET = 20_000
"""For those who only listen: a broker tells all that it retains faster than aiomqtt hands it out."""
_quiet = logging.getLogger(f"{__name__}.paho")
_quiet.setLevel(logging.CRITICAL)
"""paho logs every failure on its way; we log what follows from it, once."""


class Connection(aiomqtt.Client):
    """Enters a broker, with a last will or without. `refusal` is why it did not take a publication.

    Only MQTT 5 says that; by 3.1.1 what one has no right to publish is lost in silence.
    """

    def __init__(
        self,
        address: BrokerAddress,
        identifier: str,
        will: Publication | None = None,
        protocol: ProtocolVersion = ProtocolVersion.V5,
        incoming: int = _INCOMING,
    ) -> None:
        self.protocol = protocol
        self._is_5 = protocol is ProtocolVersion.V5
        super().__init__(
            address.host,
            address.port,
            username=address.username,
            password=address.password,
            logger=_quiet,
            identifier=identifier,
            protocol=protocol,
            will=aiomqtt.Will(will.topic, will.payload, will.qos, will.retain) if will else None,
            clean_session=None if self._is_5 else True,  # paho cleans the first start of a client by itself
            keepalive=KEEPALIVE,
            max_queued_incoming_messages=incoming,
            tls_params=_tls(address),
            # Small publications follow each other: Nagle would hold each back for the last one's ACK.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        self._client.connect_timeout = _CONNECT
        Reader(self._client)
        self._opening: asyncio.Task[Connection] | None = None
        self._largest = _LARGEST_SENT
        self.refusal = ""

    async def open(self) -> None:
        """Connect. After a cancellation it goes on, so that its thread leaves no socket behind."""
        if self._opening is None:
            self._opening = asyncio.create_task(self.__aenter__(), name="mqtt connect")
            self._opening.add_done_callback(look_at)
        try:
            await asyncio.shield(self._opening)
        except aiomqtt.MqttError as error:
            if str(error) == trouble.UNANSWERED:
                raise trouble.Unanswered("it took the connection, but did not answer") from None
            raise

    async def listen(self, filters: Sequence[str], qos: int) -> list[str]:
        """Subscribe; the messages come from `messages`. Returns the filters that the broker refuses.

        By MQTT 5 the retain flag comes as it was published: a bridge that brings what was retained
        elsewhere cannot hide it (MQTT 5, 3.8.3.1).
        """
        options = SubscribeOptions(qos=qos, retainAsPublished=True)
        wanted = [(topic, options if self._is_5 else qos) for topic in filters]
        codes = await uninterrupted(self.subscribe(wanted))  # type: ignore[arg-type]
        return [topic for topic, code in zip(filters, codes, strict=True) if _refused(code)]

    async def ignore(self, filters: Sequence[str]) -> None:
        """End the subscriptions."""
        await uninterrupted(self.unsubscribe(list(filters)))

    async def send(self, publication: Publication) -> None:
        """Publish; return when the broker has it, or for QoS 0 when it is on the wire."""
        properties = _said(publication) if self._is_5 else None
        if len(publication.payload) + _AROUND > self._largest:
            self.refusal = "Packet too large"
            return
        await self.publish(
            publication.topic, publication.payload, publication.qos, publication.retain, properties
        )

    def _on_connect(
        self,
        client: Any,
        userdata: Any,
        flags: Any,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self._largest = getattr(properties, "MaximumPacketSize", self._largest)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_publish(
        self, client: Any, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        if reason_code.is_failure:
            self.refusal = str(reason_code)
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _on_disconnect(self, *args: Any, **kwargs: Any) -> None:
        """A broker that hangs up before it has answered: aiomqtt would go on waiting for the answer."""
        if self._opening is not None and not self._opening.done() and not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError(trouble.HUNG_UP))
        super()._on_disconnect(*args, **kwargs)
        _ = self.end  # aiomqtt forgets one that comes right behind the broker's answer; asyncio would log it

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        """Write now, and the rest when the socket can take it, unless it is closed by then.

        aiomqtt registers the bare file descriptor a turn of the loop later, when it may belong to
        another; and it waits for a socket that nearly always can.
        """
        self._loop.call_soon_threadsafe(self._write_all, sock)

    def _write_all(self, sock: Any) -> None:
        if sock.fileno() >= 0:
            self._write()
        if sock.fileno() >= 0 and self._client.want_write():
            self._loop.add_writer(sock.fileno(), self._write)

    def _write(self) -> None:
        try:
            self._client.loop_write()
        except OSError as error:
            if not self._disconnected.done():
                self._disconnected.set_exception(error)

    async def close(self) -> None:
        """Disconnect, waiting for a connect under way; never fails."""
        try:
            with contextlib.suppress(aiomqtt.MqttError, OSError):
                await self.open()
                await self.__aexit__(None, None, None)
        finally:
            self._abandon()

    @property
    def end(self) -> BaseException | None:
        """What has ended it, if it has; whoever waits for messages is not told by aiomqtt 2.3.1."""
        done = self._disconnected.done() and not self._disconnected.cancelled()
        return self._disconnected.exception() if done else None

    def _abandon(self) -> None:
        """Leave nothing behind that a broker, once it wakes up, would take for a second agent."""
        self._client.disconnect()
        _ = self.end  # asyncio logs an error that nobody has looked at
        if self._opening is not None and not self._opening.done():
            self._opening.add_done_callback(lambda _: self._abandon())


def read(message: aiomqtt.Message) -> Message:
    """What arrived, as a value: no more is kept of MQTT 5's properties than is used."""
    properties = message.properties
    return Message(
        message.topic.value,
        bytes(message.payload),
        bool(message.retain),
        getattr(properties, "ResponseTopic", ""),
        getattr(properties, "CorrelationData", b""),
    )


@asynccontextmanager
async def opened(address: BrokerAddress, identifier: str) -> AsyncIterator[Connection]:
    """A connection without a last will for the length of the block, by MQTT 5 or, where that fails, 3.1.1."""
    connection = Connection(address, identifier, incoming=_FLEET)
    try:
        try:
            await connection.open()
        except (trouble.Unanswered, aiomqtt.MqttCodeError) as error:
            if not (trouble.is_too_old(error) or isinstance(error, trouble.Unanswered)):
                raise
            await connection.close()
            connection = Connection(address, identifier, None, ProtocolVersion.V311, _FLEET)
            await connection.open()
        yield connection
    finally:
        await in_peace(within(GOODBYE, connection.close()))


def _tls(address: BrokerAddress) -> aiomqtt.TLSParameters | None:
    if not address.tls:
        return None
    return aiomqtt.TLSParameters(
        ca_certs=address.ca_file, certfile=address.cert_file, keyfile=address.key_file
    )


def _said(publication: Publication) -> Properties | None:
    """What MQTT 5 says beside the payload."""
    said: dict[str, Any] = {}
    if publication.correlation:
        said["CorrelationData"] = publication.correlation
    if publication.lives is not None:
        said["MessageExpiryInterval"] = publication.lives
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    for name, value in said.items():
        setattr(properties, name, value)
    return properties if said else None


def _refused(code: int | ReasonCode) -> bool:
    return (code.value if isinstance(code, ReasonCode) else code) >= 0x80
