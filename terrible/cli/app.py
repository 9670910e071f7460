"""The command line. `run`, `serve` and the helpers do not come by here: they start without typer."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from terrible import __version__
from terrible.cli import clients
from terrible.cli.imageapp import app as image
from terrible.sim.faults import Kind


def _ends(code: int | None) -> None:
    """What a command returns is how the process ends."""
    raise typer.Exit(code or 0)


app = typer.Typer(
    result_callback=_ends,
    help="The head-node agent of a cluster of Raspberry Pis that boot over USB.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ELSEWHERE = {"add_help_option": False, "ignore_unknown_options": True, "allow_extra_args": True}


def main(arguments: Sequence[str]) -> int:
    """Run one command; a usage error is one line of typer's, and 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a bar is no reason to fail where there is no UTF-8
    try:
        app(list(arguments), prog_name="terrible")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


@app.command(context_settings=ELSEWHERE)
def run() -> None:
    """Run the agent: boot, power and watch the Pis of this head (--help for its options)."""


@app.command(context_settings=ELSEWHERE)
def serve() -> None:
    """Serve boot files to every Pi that appears, as rpiboot does to one (--help for its options)."""


clients.add(app)


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


app.add_typer(image, name="image")

net = typer.Typer(help="The node network: bridge, addresses, names, the way out.", no_args_is_help=True)
app.add_typer(net, name="net")
Configuration = Annotated[
    Path | None, typer.Option("--config", envvar="TERRIBLE_CONFIG", help="A TOML file, as for run.")
]


def _net(name: str, config: Path | None) -> int:
    from terrible.cli import net as commands

    return commands.guarded(lambda: int(getattr(commands, name)(config)))


@net.command("up")
def net_up(config: Configuration = None) -> int:
    """Set the network up, without the agent, and leave a terrible-net to keep it."""
    return _net("up", config)


@net.command("down")
def net_down(config: Configuration = None) -> int:
    """Take it down without a trace, whoever has set it up and however that has ended."""
    return _net("down", config)


@net.command("show")
def net_show(config: Configuration = None) -> int:
    """Show each slot's interface and address, and whether its node answers."""
    return _net("show", config)


@net.command("check")
def net_check(config: Configuration = None) -> int:
    """Go step by step from a slot to the internet, and tell where it breaks."""
    return _net("check", config)


@net.command("install")
def net_install(config: Configuration = None) -> int:
    """Tell NetworkManager, systemd-networkd and ModemManager to leave bridge and gadgets alone."""
    return _net("install", config)


@net.command("uninstall")
def net_uninstall(config: Configuration = None) -> int:
    """Remove what install has written."""
    return _net("uninstall", config)


@app.command()
def hubs(
    config: Annotated[
        Path | None, typer.Option(envvar="TERRIBLE_CONFIG", help="A TOML file, as for run.")
    ] = None,
    tree: Annotated[bool, typer.Option("--tree", help="As one tree per controller.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, for programs.")] = False,
    probe: Annotated[
        str | None, typer.Option(metavar="PORT", help="Switch this port, 1-1.2 say, and report what happens.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="With --probe: also where a node runs.")] = False,
) -> int:
    """Show every USB hub and port, or find out whether one port really switches."""
    from terrible.cli.hubs import Options, main

    return main(Options(config, tree, as_json, probe, force))


@app.command()
def soak(
    slots: Annotated[str, typer.Argument(help="Which: node1, node1,node4, node[1-3] or all.")] = "all",
    cycles: Annotated[int | None, typer.Option(min=1, help="How many cycles of each slot.")] = None,
    hours: Annotated[float | None, typer.Option(min=0.001, help="For how long to begin new cycles.")] = None,
    broker: clients.Broker = None,
    cluster: clients.Cluster = None,
    config: clients.Config = None,
    out: Annotated[Path | None, typer.Option(help="A new directory for the report.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Cut running neighbours that share power.")] = False,
    simulate: Annotated[int | None, typer.Option(min=1, max=120, help="Test so many simulated Pis.")] = None,
    fault: Annotated[Kind | None, typer.Option(help="What a simulated Pi sometimes does.")] = None,
    chance: Annotated[float, typer.Option(min=0, max=1, help="How often it does, of 1.")] = 0.05,
    speed: Annotated[float, typer.Option(min=0.1, max=100, help="How much faster than real Pis.")] = 10.0,
) -> int:
    """Power-cycle slots over and over, and report how often they came up and what took how long."""
    from terrible.cli.loop import complain
    from terrible.cli.soak import Simulate, Soak, main
    from terrible.cli.target import Where
    from terrible.errors import UsageError
    from terrible.soak.run import Plan

    if fault is not None and simulate is None:
        return complain(UsageError("--fault is for simulated Pis: say --simulate N as well"))
    pis = Simulate(simulate, speed, fault, chance) if simulate is not None else None
    return main(Soak(Plan(slots, cycles, hours, force), Where(broker, cluster, config), out, pis))


@app.command("ssh-known-hosts")
def ssh_known_hosts(config: Configuration = None) -> int:
    """Print the host keys of the slots, for ~/.ssh/known_hosts."""
    from terrible.cli.knownhosts import main

    return main(config)


@app.command()
def schema(name: Annotated[str | None, typer.Argument(help="One of those listed without it.")] = None) -> int:
    """Print what is said over MQTT as JSON Schema, or the names of what there is."""
    from terrible.cli.schema import main

    return main(name)


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


@app.command()
def exporter(
    broker: Annotated[
        str | None, typer.Option(help="The broker, mqtt://host:port; else TERRIBLE_BROKER, or --config's.")
    ] = None,
    config: Configuration = None,
    cluster: Annotated[
        str | None, typer.Option(help="Only this cluster; default: all of the broker.")
    ] = None,
    listen: Annotated[str, typer.Option(help="Where to serve metrics, HOST:PORT.")] = "127.0.0.1:9817",
) -> int:
    """Serve what a broker tells of its clusters as metrics for Prometheus."""
    from terrible.cli.exporter import Asked, main

    return main(Asked(broker, config, cluster, listen))
