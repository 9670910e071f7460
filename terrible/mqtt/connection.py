"""One connection to the broker, from opening to closing; the next one is another object.

A fresh aiomqtt client each time, because a used one sends again what it had under way, after newer
values. Works around what differs between 2.3.1 and 2.5.1, and what keeps either from ending in
time (facts/arm.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Coroutine, Sequence
from typing import Any

import aiomqtt

from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.payloads import Publication

KEEPALIVE = 10
"""Seconds; a broker gives up after one and a half times that (MQTT 3.1.1, 3.1.2.10)."""
_CONNECT = 3.0
"""Seconds for the TCP connect, which blocks a thread that the end of the process waits for."""
_INCOMING = 1000
"""Messages kept between two turns of the loop; what a flood brings beyond is lost."""

_quiet = logging.getLogger(f"{__name__}.paho")
_quiet.setLevel(logging.CRITICAL)
"""paho logs every failure on its way; we log what follows from it, once."""


class Connection(aiomqtt.Client):
    """Enters the broker with a last will; MQTT 3.1.1, which every broker speaks."""

    def __init__(self, address: BrokerAddress, identifier: str, will: Publication) -> None:
        super().__init__(
            address.host,
            address.port,
            username=address.username,
            password=address.password,
            logger=_quiet,
            identifier=identifier,
            protocol=aiomqtt.ProtocolVersion.V311,
            will=aiomqtt.Will(will.topic, will.payload, will.qos, will.retain),
            clean_session=True,
            keepalive=KEEPALIVE,
            max_queued_incoming_messages=_INCOMING,
            tls_params=aiomqtt.TLSParameters(ca_certs=address.ca_file) if address.tls else None,
            # Small publications follow each other: Nagle would hold each back for the last one's ACK.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        self._client.connect_timeout = _CONNECT
        self._opening: asyncio.Task[Connection] | None = None

    async def open(self) -> None:
        """Connect. After a cancellation it goes on, so that its thread leaves no socket behind."""
        if self._opening is None:
            self._opening = asyncio.create_task(self.__aenter__(), name="mqtt connect")
        await asyncio.shield(self._opening)

    async def listen(self, filters: Sequence[str], qos: int) -> None:
        """Subscribe; the messages come from `messages`."""
        await _uninterrupted(self.subscribe([(topic, qos) for topic in filters]))

    async def ignore(self, filters: Sequence[str]) -> None:
        """End the subscriptions."""
        await _uninterrupted(self.unsubscribe(list(filters)))

    async def send(self, publication: Publication) -> None:
        """Publish; return when the broker has it, or for QoS 0 when it is on the wire."""
        await self.publish(publication.topic, publication.payload, publication.qos, publication.retain)

    def _on_disconnect(self, *args: Any, **kwargs: Any) -> None:
        """A broker that hangs up before it has answered: aiomqtt would go on waiting for the answer."""
        if self._opening is not None and not self._opening.done() and not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError("it hung up before it answered"))
        super()._on_disconnect(*args, **kwargs)

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

    def _abandon(self) -> None:
        """Leave nothing behind that a broker, once it wakes up, would take for a second agent."""
        self._client.disconnect()
        if self._disconnected.done():
            self._disconnected.exception()  # asyncio logs an error that nobody has looked at
        if self._opening is not None and not self._opening.done():
            self._opening.add_done_callback(lambda _: self._abandon())


async def _uninterrupted(work: Coroutine[Any, Any, object]) -> None:
    """Await it in a task of its own: Python 3.11's wait_for, inside, may swallow a cancellation."""
    await asyncio.shield(asyncio.create_task(work))
