"""`terrible net-helper`: keeps the node network; started by systemd, the agent or `terrible net up`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from terrible.cli import netplan
from terrible.cli.loop import complain, run
from terrible.errors import HostError
from terrible.net import helper
from terrible.notify import notify


def main(argv: Sequence[str]) -> int:
    """Serve until told `down` or to stop; the network is down then."""
    parser = argparse.ArgumentParser(prog="terrible net-helper")
    parser.add_argument("--config", type=Path, required=True, help="the configuration, owned by root")
    parser.add_argument("--socket", type=Path, help="where to listen; without it systemd passes the socket")
    options = parser.parse_args(argv)
    os.umask(0o022)
    try:
        with helper.own():
            return run(lambda: _serve(options.config, options.socket))
    except (HostError, OSError) as error:
        return complain(error if isinstance(error, HostError) else HostError(f"{error}; run as root"))


async def _serve(config: Path, socket: Path | None) -> None:
    listener = helper.listener(socket)
    try:
        await helper.Helper(partial(netplan.trusted, config)).serve(listener, _ready)
    finally:
        helper.remove(socket)


def _ready() -> None:
    print("listening", flush=True)
    notify("READY=1")
