"""The commands that reach an agent through its broker, for the command line to take in."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Action(StrEnum):
    """What `power` does."""

    ON = "on"
    OFF = "off"
    CYCLE = "cycle"


def _slot_names(context: typer.Context, incomplete: str) -> list[str]:
    from terrible.cli.completion import slot_names
    from terrible.cli.target import Where

    said = context.params
    return slot_names(Where(said.get("broker"), said.get("cluster"), said.get("config")), incomplete)


BROKER = typer.Option(
    "--broker", help="mqtt://host:port or mqtts://…; else TERRIBLE_BROKER, the configuration, localhost."
)
Broker = Annotated[str | None, BROKER]
Cluster = Annotated[str | None, typer.Option("--cluster", "-c", help="Which, where the broker has several.")]
Config = Annotated[
    Path | None,
    typer.Option(
        envvar="TERRIBLE_CONFIG",
        help="The agent's TOML file; else /etc/terrible/terrible.toml if it is there.",
    ),
]
Slots = Annotated[
    str,
    typer.Argument(metavar="SLOTS", help="node2, node1,node4, node[1-3] or all.", autocompletion=_slot_names),
]
Slot = Annotated[str, typer.Argument(metavar="SLOT", help="node2, say.", autocompletion=_slot_names)]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return once the agent has the request.")]
Force = Annotated[bool, typer.Option("--force", help="No shutdown first; also what hurts others.")]
Json = Annotated[bool, typer.Option("--json", help="Everything, for programs.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="As it always does: nobody keeps events.")]


def add(app: typer.Typer) -> None:
    """Make them commands of the program, in the order in which its help lists them."""
    for command in (status, watch, power, boot, release, probe, flash, events, log):
        app.command()(command)


def status(
    broker: Broker = None, cluster: Cluster = None, config: Config = None, as_json: Json = False
) -> int:
    """Show how every slot stands; exit 3 where no agent is there to tell."""
    from terrible.cli import watch
    from terrible.cli.target import Where

    return watch.status(Where(broker, cluster, config), as_json)


def watch(broker: Broker = None, cluster: Cluster = None, config: Config = None) -> int:
    """Show how every slot stands, as it changes, until Ctrl-C."""
    from terrible.cli import watch
    from terrible.cli.target import Where

    return watch.watch(Where(broker, cluster, config))


def power(
    action: Annotated[Action, typer.Argument(help="On and off are for good, cycle is off and on.")],
    slots: Slots,
    force: Force = False,
    no_wait: NoWait = False,
    broker: Broker = None,
    cluster: Cluster = None,
    config: Config = None,
) -> int:
    """Switch slots on or off, or cycle their power."""
    return _order(("power", slots, action.value, force), no_wait, (broker, cluster, config))


def boot(
    slots: Slots,
    no_wait: NoWait = False,
    broker: Broker = None,
    cluster: Cluster = None,
    config: Config = None,
) -> int:
    """Boot slots: as power on, and another attempt where one has failed; nothing where the node is up."""
    return _order(("boot", slots), no_wait, (broker, cluster, config))


def release(
    slots: Slots,
    no_wait: NoWait = False,
    broker: Broker = None,
    cluster: Cluster = None,
    config: Config = None,
) -> int:
    """Give slots another chance that are quarantined, or held off: by an over-current, or a dirty card."""
    return _order(("release", slots), no_wait, (broker, cluster, config))


def probe(
    slots: Slots,
    force: Force = False,
    no_wait: NoWait = False,
    broker: Broker = None,
    cluster: Cluster = None,
    config: Config = None,
) -> int:
    """Find out whether switching the ports of slots really takes their power away."""
    return _order(("probe", slots, "", force), no_wait, (broker, cluster, config))


def flash(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="A file of the head's directory of images.")],
    slots: Slots,
    force: Force = False,
    no_wait: NoWait = False,
    direct: Annotated[
        bool, typer.Option("--direct", help="On the head, without an agent; IMAGE is a path, or - for stdin.")
    ] = False,
    bmap: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --direct: the image's bmap, where it is not beside it."),
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(metavar="HEX", help="With --direct: what the image or its file must have.")
    ] = None,
    broker: Broker = None,
    cluster: Cluster = None,
    config: Config = None,
) -> int:
    """Write an image onto the cards of slots, all at once, and verify it; what was on them is lost."""
    if direct and (no_wait or broker or cluster):
        return _asked_wrong("--no-wait, --broker and --cluster are for an agent, and --direct asks none")
    if direct:
        from terrible.cli.direct import flash as flash_directly

        return flash_directly(image, slots, config, (bmap, sha256), force=force)
    if bmap or sha256:
        beside = "over MQTT a bmap and a sha256 lie beside the image, in the head's directory of images"
        return _asked_wrong(f"--bmap and --sha256 go with --direct; {beside}")
    return _order(("flash", slots, "", force, image), no_wait, (broker, cluster, config))


def events(
    follow: Follow = False, broker: Broker = None, cluster: Cluster = None, config: Config = None
) -> int:
    """Print what happens from now on, until Ctrl-C."""
    from terrible.cli import watch
    from terrible.cli.target import Where

    return watch.events(Where(broker, cluster, config))


def log(slot: Slot, broker: Broker = None, cluster: Cluster = None, config: Config = None) -> int:
    """Show the last attempt to boot a slot: stages and files with how long they took, and what went wrong."""
    from terrible.cli import transcript
    from terrible.cli.target import Where

    return transcript.log(Where(broker, cluster, config), slot)


def _asked_wrong(said: str) -> int:
    from terrible.cli.loop import complain
    from terrible.errors import UsageError

    return complain(UsageError(said))


def _order(
    asked: tuple[str, str] | tuple[str, str, str, bool] | tuple[str, str, str, bool, str],
    no_wait: bool,
    where: tuple[str | None, str | None, Path | None],
) -> int:
    from terrible.cli.order import order
    from terrible.cli.target import Where
    from terrible.remote.question import Question

    return order(Where(*where), Question(*asked), not no_wait)
