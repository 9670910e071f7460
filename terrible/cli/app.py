"""The command line. `run`, `serve` and the helpers do not come by here: they start without typer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from terrible import __version__
from terrible.sim.faults import Kind

app = typer.Typer(
    help="The head-node agent of a cluster of Raspberry Pis that boot over USB.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ELSEWHERE = {"add_help_option": False, "ignore_unknown_options": True, "allow_extra_args": True}


def main(arguments: Sequence[str]) -> int:
    """Run one command; typer itself exits for usage errors."""
    result = app(list(arguments), prog_name="terrible", standalone_mode=False)
    return result if isinstance(result, int) else 0


@app.command(context_settings=ELSEWHERE)
def run() -> None:
    """Run the agent: boot, power and watch the Pis of this head (--help for its options)."""


@app.command(context_settings=ELSEWHERE)
def serve() -> None:
    """Serve boot files to every Pi that appears, as rpiboot does to one (--help for its options)."""


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


@app.command()
def check(
    config: Annotated[
        Path | None, typer.Option(envvar="TERRIBLE_CONFIG", help="A TOML file, as for run.")
    ] = None,
) -> int:
    """Tell whether `run` would work here, and what to do about it: one screen for a bug report."""
    from terrible.cli.check import main

    return main(config)


@app.command()
def demo(
    nodes: Annotated[int, typer.Option(min=1, max=120, help="How many simulated Pis.")] = 4,
    speed: Annotated[float, typer.Option(min=0.1, max=100, help="How much faster than real Pis.")] = 2.0,
    fault: Annotated[Kind, typer.Option(help="What the faulty Pi does once.")] = Kind.BOOTCODE_STALLS,
    broker: Annotated[
        str | None, typer.Option(help="A broker, mqtt://host:port, not one of its own.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Exit when all nodes are up.")] = False,
) -> int:
    """Boot simulated Pis with the real agent, and watch it through MQTT."""
    from terrible.cli.demo import Demo, main

    return main(Demo(nodes, speed, fault, broker, once))
