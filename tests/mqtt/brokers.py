"""Real brokers on loopback ports, an observer of what they hold, and a wire that can be cut.

Mosquitto is a child process; amqtt runs in the test's own loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import logging
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn, Protocol

import aiomqtt
import pytest

from terrible.mqtt.address import BrokerAddress
from terrible.mqtt.connection import Connection

from .examples import BASE

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test in a loop of its own; what the loop would only log is a failure."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await test

    asyncio.run(watched())
    if complaints:
        raise AssertionError(f"the loop complained: {complaints}")


async def until(condition: Callable[[], bool], limit: float = 5.0, why: str = "") -> float:
    """Wait for the condition; return how many seconds it took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > limit:
            raise AssertionError(f"not within {limit} s: {why}")
        await asyncio.sleep(0.002)
    return time.monotonic() - began


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Broker(Protocol):
    port: int

    async def start(self) -> None: ...

    async def kill(self) -> None: ...


class Mosquitto:
    """A mosquitto child without persistence."""

    def __init__(self, directory: Path) -> None:
        if MOSQUITTO is None:
            missing("mosquitto is not installed")
        self.port = free_port()
        self.config = directory / "mosquitto.conf"
        self.config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        command = [str(MOSQUITTO), "-c", str(self.config)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await until(self._listens, why="mosquitto listens")

    async def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False


class Amqtt:
    """amqtt in this loop."""

    def __init__(self) -> None:
        if importlib.util.find_spec("amqtt") is None:
            missing("amqtt is not installed")
        self.port = free_port()
        self._broker: Any = None
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)

    async def start(self) -> None:
        try:
            from amqtt.broker import Broker as Embedded
        except ImportError:
            missing("amqtt is not installed")
        plugins: dict[str, dict[str, bool]] = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {}}
        listener = {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}
        self._broker = Embedded({"listeners": {"default": listener}, "plugins": plugins})
        await self._broker.start()

    async def kill(self) -> None:
        if self._broker is not None:
            with contextlib.suppress(TimeoutError):  # its reader may miss its cancellation on Python 3.11
                async with asyncio.timeout(2):
                    await self._broker.shutdown()
            self._broker = None


def missing(what: str) -> NoReturn:
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(what)
    pytest.skip(what)


def make(kind: str, directory: Path) -> Broker:
    return Mosquitto(directory) if kind == "mosquitto" else Amqtt()


@contextlib.asynccontextmanager
async def running(broker: Broker) -> AsyncIterator[Broker]:
    await broker.start()
    try:
        yield broker
    finally:
        await broker.kill()


_observers = itertools.count()
_FLEETING = re.compile(r"/(event|progress|set)$|/(request|response)/")


class Observer:
    """Somebody else at the broker: `held` is what is retained now, `seen` every message so far."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.held: dict[str, bytes] = {}
        self.seen: list[tuple[str, bytes, int, bool]] = []

    @property
    def status(self) -> str:
        """The agent's, empty where there is none."""
        return self.held.get(f"{BASE}/status", b"").decode()

    def on(self, topic: str) -> list[bytes]:
        return [payload for seen, payload, _, _ in self.seen if seen == topic]

    async def listen(self) -> None:
        async for message in self.client.messages:
            topic, payload = message.topic.value, bytes(message.payload)
            self.seen.append((topic, payload, message.qos, bool(message.retain)))
            if _FLEETING.search(topic):
                continue
            self.held[topic] = payload
            if not payload:
                del self.held[topic]


@contextlib.asynccontextmanager
async def observing(where: int | BrokerAddress) -> AsyncIterator[Observer]:
    """By our own connection, for a bare aiomqtt may stumble over a broker that dies; by MQTT 3.1.1."""
    name = f"observer-{next(_observers)}"
    address = BrokerAddress("127.0.0.1", where) if isinstance(where, int) else where
    client = Connection(address, name, protocol=aiomqtt.ProtocolVersion.V311)
    await client.open()
    observer = Observer(client)
    listening = asyncio.create_task(observer.listen())
    try:
        await client.subscribe("#", qos=1)
        yield observer
    finally:
        await stopped(listening)
        await client.close()


async def stopped(task: asyncio.Task[None]) -> float:
    """Cancel it and wait for its end; return how many seconds that took."""
    began = time.monotonic()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, aiomqtt.MqttError):
        await task
    return time.monotonic() - began


class Wire:
    """Passes bytes between the agent and the broker until it is cut, as when a head loses power."""

    def __init__(self, broker_port: int) -> None:
        self.port = free_port()
        self.stalled = False
        self._broker_port = broker_port
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self.stalled = False
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Reset both ends and take no more connections."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._broker_port)
        self._writers += [writer, back]
        for source, sink in ((reader, back), (there, writer)):
            self._tasks.append(asyncio.create_task(self._pass(source, sink)))

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if self.stalled:  # neither end learns of it
                    continue
                sink.write(data)
                await sink.drain()
        sink.close()
