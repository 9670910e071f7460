"""`terrible hubs` for the eye: a table per hub, or one tree of all."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from terrible.cli.hubsurvey import HubView, PortView

HEADINGS = ("port", "slot", "plugged in", "power", "over-current", "switched by", "also loses power")
KINDS = {"per-port": "per port", "ganged": "ganged", "none": "none", None: "unknown"}
REMEDY = (
    "power is unknown where there is no permission to open the hub: "
    "install packaging/70-terrible.rules, or run as root"
)


def show(hubs: list[HubView], console: Console, *, tree: bool) -> None:
    """Print them. Piped somewhere lines are as long as they need: a bug report shall hold all of it."""
    views = trees(hubs) if tree else [part for hub in hubs for part in (_table(hub), Text())]
    if not console.is_terminal:
        console.width = 10_000
        console.width = max((console.measure(view).maximum for view in views), default=80)
    for view in views:
        console.print(view)
    for line in notes(hubs):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _table(hub: HubView) -> RenderableType:
    table = Table(box=None, pad_edge=True, header_style="dim")
    for heading in HEADINGS:
        table.add_column(heading)
    for port in hub.ports:
        table.add_row(*map(Text, cells(port, forbidden=hub.forbidden)))
    return Group(Text(title(hub), style="bold"), table)


def title(hub: HubView) -> str:
    """What a hub is, in one line."""
    told = [f"{len(hub.ports)} ports", f"{hub.speed} Mb/s", f"switching: {KINDS[hub.switching]}"]
    return f"hub {hub.name}  {_named(hub.ids, hub.product)}  {', '.join(told)}"


def cells(port: PortView, *, forbidden: bool) -> tuple[str, ...]:
    """One port's row, in the order of the headings."""
    return (
        port.location,
        port.slot or "-",
        plugged(port),
        power(port, forbidden=forbidden),
        over_current(port),
        switched_by(port, forbidden=forbidden),
        " ".join(port.also) or "-",
    )


def plugged(port: PortView) -> str:
    """What is plugged in: a Pi's stage, ids and product."""
    if port.stage is None:
        return "-"
    stage = "" if port.stage == "other" else port.stage if port.stage == "hub" else port.stage.upper()
    return " ".join(filter(None, (stage, _named(port.ids, port.product))))


def power(port: PortView, *, forbidden: bool) -> str:
    """On, off, or why that is unknown."""
    if port.power is None:
        return "unknown (no permission)" if forbidden else "unknown"
    return "on" if port.power else "off"


def switched_by(port: PortView, *, forbidden: bool) -> str:
    """Its backend; who may not ask the hub cannot tell what others could do with it."""
    return "unknown" if forbidden and port.backend == "none" else port.backend


def over_current(port: PortView) -> str:
    """Whether there is one now, and how many the kernel has counted."""
    now = {None: "unknown", False: "no", True: "YES"}[port.over_current]
    return f"{now} (seen {port.over_current_count} times)" if port.over_current_count else now


def trees(hubs: list[HubView]) -> list[Tree]:
    """Every controller with what hangs on it."""
    by_name = {hub.name: hub for hub in hubs}
    return [_branch(hub, by_name) for hub in hubs if hub.name.startswith("usb")]


def _branch(hub: HubView, by_name: dict[str, HubView]) -> Tree:
    branch = Tree(Text(title(hub)))
    _grow(branch, hub, by_name)
    return branch


def _grow(branch: Tree, hub: HubView, by_name: dict[str, HubView]) -> None:
    for port in hub.ports:
        behind = by_name.get(port.location)
        leaf = branch.add(Text(_leaf(port, behind, forbidden=hub.forbidden)))
        if behind is not None:
            _grow(leaf, behind, by_name)


def _leaf(port: PortView, behind: HubView | None, *, forbidden: bool) -> str:
    what = f"{port.location}{f' {port.slot}' if port.slot else ''}: {plugged(port)}"
    told = [
        f"power {power(port, forbidden=forbidden)}",
        f"switched by {switched_by(port, forbidden=forbidden)}",
    ]
    if port.over_current or port.over_current_count:
        told.append(f"over-current {over_current(port)}")
    if port.also:
        told.append(f"with {' '.join(port.also)}")
    if behind is not None:
        told.append(f"switching of its ports: {KINDS[behind.switching]}")
    return f"{what}; {', '.join(told)}"


def notes(hubs: list[HubView]) -> Iterator[str]:
    """Why each port is switched as it is, what probes have found, what hubs do not tell, and the remedy."""
    for hub in hubs:
        if hub.problem and not hub.forbidden:
            yield hub.problem
        yield from _reasons(hub)
    for port in (port for hub in hubs for port in hub.ports if port.probed):
        assert port.probed is not None
        yield f"{port.location} probed with {port.probed.get('backend')}: {port.probed.get('sentence', '')}"
    if any(hub.forbidden for hub in hubs):
        yield REMEDY


def _reasons(hub: HubView) -> Iterator[str]:
    """One line for all ports of a hub that are switched alike; those it cannot ask are told of once."""
    if hub.problem:
        return
    alike: dict[tuple[str, str], list[str]] = {}
    for port in hub.ports:
        key = (port.backend, port.why.replace(port.location, "the port"))
        alike.setdefault(key, []).append(port.location)
    for (backend, why), locations in alike.items():
        yield f"{_range(locations)} {backend}: {why}"


def _range(locations: list[str]) -> str:
    return locations[0] if len(locations) == 1 else f"{locations[0]} … {locations[-1]}"


def _named(*words: str) -> str:
    return " ".join(filter(None, words))
