"""`terrible run`: the agent, as a service or by hand."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from terrible.cli import assemble
from terrible.cli.loop import complain, run
from terrible.config import Config
from terrible.configfile import ConfigError, load
from terrible.notify import feed_watchdog, notify


def main(argv: Sequence[str]) -> int:
    """Run the agent until it is told to stop."""
    parser = argparse.ArgumentParser(
        prog="terrible run", description="Boot, power and watch the Pis of this head, and tell MQTT about it."
    )
    parser.add_argument("--config", type=Path, default=os.environ.get("TERRIBLE_CONFIG"), help="a TOML file")
    path: Path | None = parser.parse_args(argv).config
    path = Path(path) if path is not None else None
    try:
        config = load(path)
    except ConfigError as error:
        return complain(error)
    return run(lambda: _agent(config, path))


async def _agent(config: Config, path: Path | None) -> None:
    async with assemble.agent(config, path) as agent, asyncio.TaskGroup() as tasks:
        watchdog = tasks.create_task(feed_watchdog(lambda: agent.stuck), name="watchdog")
        try:
            await agent.run(ready=lambda: notify("READY=1"))
        finally:
            notify("STOPPING=1")
            watchdog.cancel()
