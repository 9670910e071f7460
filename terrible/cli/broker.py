"""A broker for a demonstration, on a free port of this machine: amqtt inside, else a mosquitto child."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from terrible.errors import HostError
from terrible.mqtt.address import BrokerAddress

HOST = "127.0.0.1"
MOSQUITTO_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
"""Debian installs the broker where an ordinary user's shell does not look."""
START = 10.0
STOP = 2.0


@asynccontextmanager
async def embedded() -> AsyncIterator[str]:
    """Run a broker for the length of the block; its URL. HostError where none is installed."""
    port = _free_port()
    try:
        import amqtt  # noqa: F401
    except ImportError:
        program = shutil.which("mosquitto", path=MOSQUITTO_PATH)
        if program is None:
            raise HostError(
                "the demo needs a broker: pip install 'terrible[demo]', or apt install mosquitto, "
                "or name one with --broker mqtt://host:port"
            ) from None
        running = _mosquitto(program, port)
    else:
        running = _amqtt(port)
    async with running:
        yield f"mqtt://{HOST}:{port}"


@asynccontextmanager
async def _amqtt(port: int) -> AsyncIterator[None]:
    from amqtt.broker import Broker

    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # clients that just leave are errors to it
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True},
            },
        }
    )
    asyncio.get_running_loop().set_exception_handler(_but_amqtt)
    await broker.start()
    try:
        yield
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP):  # amqtt 0.12 can hang here
                await broker.shutdown()


def _but_amqtt(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Show what goes wrong in the loop, but not amqtt's tasks for clients that have just left."""
    task = context.get("future")
    code = getattr(task.get_coro(), "cr_code", None) if isinstance(task, asyncio.Task) else None
    if code is None or f"{os.sep}amqtt{os.sep}" not in code.co_filename:
        loop.default_exception_handler(context)


@asynccontextmanager
async def _mosquitto(program: str, port: int) -> AsyncIterator[None]:
    """It listens on this machine only and keeps nothing, as it does when started with just a port."""
    process = await asyncio.create_subprocess_exec(
        program, "-p", str(port), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await _listening(port)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _listening(port: int) -> None:
    try:
        async with asyncio.timeout(START):
            while True:
                try:
                    _, writer = await asyncio.open_connection(HOST, port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                return
    except TimeoutError:
        raise HostError(f"mosquitto does not listen on port {port} after {START:g} s") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def client_command(tool: str, address: BrokerAddress, *arguments: str) -> str:
    """A command line that works here: amqtt's clients where only those are installed, else mosquitto's."""
    ours = Path(sys.executable).parent / f"amqtt_{tool}"
    installed = shutil.which(f"mosquitto_{tool}")
    if installed or not ours.exists():
        # With QoS 0 amqtt loses what a client says just before it leaves.
        where = ["-h", address.host, "-p", str(address.port), "-v" if tool == "sub" else "-q 1"]
        remark = "" if installed else "   # sudo apt install mosquitto-clients"
        return " ".join([f"mosquitto_{tool}", *where, *arguments]) + remark
    return " ".join([str(ours), "--url", str(address), "--qos 1", *arguments])
