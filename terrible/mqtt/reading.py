"""How paho reads from its socket: all there is, at once, and no more of one packet than is of use."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

LARGEST_PACKET = 128 * 1024
"""Bytes kept of one packet: twice a command, so that one too large is seen to be; brokers send 256 MB."""


class Reader:
    """Puts itself between a client and its socket."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._receive, self._loop_read = client._sock_recv, client.loop_read  # noqa: SLF001
        client._sock_recv, client.loop_read = self._some, self._all  # type: ignore[method-assign]  # noqa: SLF001

    def _all(self, max_packets: int = 1) -> MQTTErrorCode:
        """What TLS has decrypted makes no socket readable, and aiomqtt 2.3.1 does not ask for it."""
        result = self._loop_read(max_packets)
        while isinstance(sock := self._client.socket(), ssl.SSLSocket) and sock.pending():
            result = self._loop_read(max_packets)
        return result

    def _some(self, bufsize: int) -> bytes:
        """The next of a packet, of which no more than the beginning is kept.

        MQTT 5 could tell the broker (Maximum Packet Size), but amqtt 0.12 misreads a CONNECT with any
        property, and never answers. Quick ACKs have to be asked for after each read (tcp(7)); without, a
        command came 40 ms late.
        """
        del self._client._in_packet["packet"][LARGEST_PACKET:]  # noqa: SLF001
        data = self._receive(min(bufsize, LARGEST_PACKET))
        sock: Any = self._client.socket()
        if sock is not None:  # a broker with Nagle's algorithm on holds the next message back for this ACK
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data
