"""`terrible hubs`: what is told of hubs and ports, and how."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from terrible import lock
from terrible.cli import hubs, hubtable
from terrible.cli.hubs import Options, as_json
from terrible.cli.hubsurvey import HubView, PortView, natural
from terrible.errors import BootError
from terrible.model import Location
from terrible.power.topology import ports_of
from terrible.state import State

from .hubmachine import Head, Switch


@pytest.fixture
def head(tmp_path: Path) -> Head:
    return Head(tmp_path / "sys")


def port(views: list[HubView], location: str) -> PortView:
    return next(port for hub in views for port in hub.ports if port.location == location)


def shown(views: list[HubView], *, tree: bool = False, width: int = 80) -> str:
    out = io.StringIO()
    hubtable.show(views, Console(file=out, width=width), tree=tree)
    return out.getvalue()


def row(text: str, location: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.strip().startswith(f"{location} "))
    return [cell.strip() for cell in line.strip().split("  ") if cell.strip()]


def test_every_hub_with_every_port(head: Head) -> None:
    views = head.survey()
    assert [hub.name for hub in views] == ["usb1", "1-1", "usb2"]
    assert [[port.location for port in hub.ports] for hub in views] == [
        ["1-1", "1-2"],
        ["1-1.1", "1-1.2", "1-1.3", "1-1.4"],
        ["2-1", "2-2"],
    ]
    assert [hub.switching for hub in views] == ["none", "per-port", "none"]


def test_what_is_plugged_in(head: Head) -> None:
    views = head.survey()
    told = [(at.stage, at.ids, at.product) for at in views[1].ports]
    assert told == [
        ("rom", "0a5c:2763", "BCM2708 Boot"),
        (None, "", ""),
        ("gadget", "0525:a4a2", "RNDIS?[2J"),  # nothing of a device rules the terminal
        ("other", "046d:c31c", "Keyboard"),
    ]
    assert port(views, "1-1").stage == "hub"
    assert [at.slot for at in views[1].ports] == ["node1", "node2", "node3", "node4"]
    assert port(views, "1-2").slot == ""


def test_power_and_over_current_are_the_hubs_word(head: Head) -> None:
    head.counted("1-1.3", 2)
    views = head.survey()
    assert [at.power for at in views[1].ports] == [True, False, True, True]
    assert [at.over_current for at in views[1].ports] == [False, False, True, False]
    assert port(views, "1-1.3").over_current_count == 2
    assert port(views, "1-1.1").over_current_count == 0
    assert row(shown(views), "1-1.1")[4] == "no"
    assert "YES (seen 2 times)" in shown(views)


@pytest.mark.parametrize(("backend", "lit"), [("gpio", False), ("command", None), ("clusterhat", True)])
def test_power_behind_the_hubs_back_is_the_switchs_word(head: Head, backend: str, lit: bool | None) -> None:
    head.switches[Location("1-1.1")] = Switch(backend, lit=lit)
    assert port(head.survey(), "1-1.1").power is lit


@pytest.mark.parametrize("backend", ["sysfs", "hub", "none"])
def test_the_switch_of_a_hubs_port_is_not_asked(head: Head, backend: str) -> None:
    head.switches[Location("1-1.1")] = Switch(backend, lit=False)
    assert port(head.survey(), "1-1.1").power is True


def test_what_else_loses_power(head: Head) -> None:
    gang = ports_of("1-1", 4) | {Location("2-1.1")}
    head.switches[Location("1-1.2")] = Switch(together=gang)
    views = head.survey()
    assert port(views, "1-1.2").also == ("1-1.1", "1-1.3", "1-1.4", "2-1.1")
    assert row(shown(views), "1-1.2")[-1] == "1-1.1 1-1.3 1-1.4 2-1.1"
    assert port(views, "1-1.1").also == ()


def test_without_permission_power_is_unknown_and_the_remedy_comes_last(head: Head) -> None:
    head.forbid()
    head.switches[Location("1-1.1")] = Switch("none", "no permission", frozenset())
    views = head.survey()
    assert port(views, "1-1.1").stage == "rom"
    assert {at.power for hub in views for at in hub.ports} == {None}
    text = shown(views)
    assert row(text, "1-1.1")[:5] == [
        "1-1.1",
        "node1",
        "ROM 0a5c:2763 BCM2708 Boot",
        "unknown (no permission)",
        "unknown",
    ]
    assert row(text, "1-1.1")[5] == "unknown", "whoever may open the hub might well switch it"
    assert text.splitlines()[-1] == hubtable.REMEDY
    assert text.count("permission to open") == 1
    assert hubtable.REMEDY not in shown(Head(head.tree.root.parent / "other").survey())


def test_a_hub_that_does_not_answer_says_so(head: Head) -> None:
    head.hub.error = BootError("pipe error")
    text = shown(head.survey())
    assert "hub 1-1: pipe error" in text
    assert "no permission" not in text
    assert row(text, "1-1.1")[3] == "unknown"


def test_the_table_says_why_once_for_ports_alike(head: Head) -> None:
    head.switches[Location("1-1.4")] = Switch("none", "it cannot: 1-1.4 is broken")
    lines = shown(head.survey()).splitlines()
    assert "1-1.1 … 1-1.3 hub: its hub can" in lines
    assert "1-1.4 none: it cannot: the port is broken" in lines


def test_a_piped_table_is_as_wide_as_it_must_be(head: Head) -> None:
    gang = frozenset(Location(f"1-1.{number}") for number in range(1, 32))
    head.switches[Location("1-1.2")] = Switch(together=gang)
    assert "1-1.30 1-1.31" in row(shown(head.survey(), width=40), "1-1.2")[-1]


def test_the_tree_hangs_hubs_on_ports(head: Head) -> None:
    lines = shown(head.survey(), tree=True).splitlines()
    assert lines[0].startswith("hub usb1 ")
    assert lines[1].startswith("├── 1-1: hub 0409:55aa QEMU USB Hub; power on")
    assert lines[1].endswith("switching of its ports: per port")
    assert lines[2] == "│   ├── 1-1.1 node1: ROM 0a5c:2763 BCM2708 Boot; power on, switched by hub"
    assert lines[4].endswith("; power on, switched by hub, over-current YES")
    assert sum(line.startswith("hub ") for line in lines) == 2, "hub 1-1 is a branch, not a tree"


def test_what_a_probe_found_is_shown(head: Head) -> None:
    state = State(None)
    state.set_verdict("1-1.2", {"backend": "hub", "works": False, "sentence": "It does not work: the bit."})
    views = head.survey(state)
    assert port(views, "1-1.2").probed == state.verdict("1-1.2")
    assert "1-1.2 probed with hub: It does not work: the bit." in shown(views).splitlines()
    assert port(views, "1-1.1").probed is None


def test_json_holds_everything(head: Head) -> None:
    views = head.survey()
    told = json.loads(json.dumps(as_json(views)))
    assert told["v"] == 1
    assert [hub["name"] for hub in told["hubs"]] == ["usb1", "1-1", "usb2"]
    assert told["hubs"][1]["ports"][0] == {
        "location": "1-1.1",
        "slot": "node1",
        "stage": "rom",
        "ids": "0a5c:2763",
        "product": "BCM2708 Boot",
        "power": True,
        "over_current": False,
        "over_current_count": 0,
        "backend": "hub",
        "why": "its hub can",
        "also": [],
        "probed": None,
    }


def test_names_sort_as_people_count() -> None:
    names = ["usb2", "1-1.10", "1-1.2", "10-1", "1-1", "usb1"]
    assert sorted(names, key=natural) == ["usb1", "1-1", "1-1.2", "1-1.10", "usb2", "10-1"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(None, tree=True, as_json=True), "two views"),
        (Options(None, force=True), "--force belongs to --probe"),
        (Options(None, probe="1-1.2", tree=True), "--tree shows all hubs"),
        (Options(None, probe="usb1"), "'usb1' is no USB location"),
    ],
)
def test_options_that_make_no_sense(options: Options, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert hubs.main(options) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""


def test_a_bad_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hubs.main(Options(tmp_path / "none.toml")) == 78
    assert "none.toml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("port", "remedy"),
    [
        ("1-1.2", "ask it: terrible probe node2; or stop it first"),
        ("1-7", "a slot of its own it can probe itself; or stop it first"),
        (None, "stop it first"),
    ],
)
def test_an_agent_that_runs_can_be_asked_to_probe(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    port: str | None,
    remedy: str,
) -> None:
    monkeypatch.setattr(lock, "RUN", tmp_path)
    config = tmp_path / "terrible.toml"
    config.write_text(f'hub = "1-1"\nports = 4\nstate_directory = "{tmp_path}"\n')
    with lock.owner():
        assert hubs.main(Options(config, probe=port)) == 1
    said = f"another terrible is running (process {os.getpid()}, {tmp_path}/lock); {remedy}"
    assert capsys.readouterr().err == f"terrible: {said}\n"
