"""Names on the head: `ssh node2` works, and afterwards nothing of ours is left, byte for byte."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrible.errors import HostError
from terrible.net import hostnames
from terrible.net.hostnames import publish, with_block, withdraw, without_block
from tests.net.namespaces import missing

NAMES = {"node1": "10.42.0.11", "node2": "10.42.0.12"}
FOREIGN = "127.0.0.1 localhost\n::1\tlocalhost ip6-localhost\n"
BLOCK = (
    "# begin terrible\n"
    "10.42.0.11\tnode1.demo.internal node1\t# by terrible\n"
    "10.42.0.12\tnode2.demo.internal node2\t# by terrible\n"
    "# end terrible\n"
)
OUR_LINES = st.lists(st.sampled_from(["10.42.0.11\tnode1", "10.42.0.12\tnode2"]), max_size=3)
PIECES = st.sampled_from(
    [
        "127.0.0.1 localhost",
        "\n",
        "\n",
        "\r\n",
        " ",
        "\u2028",
        "\x0c",
        "\udcff",
        "# terrible",
        "# begin",
        "10.42.0.12",
    ]
)
FOREIGN_TEXT = st.lists(PIECES).map("".join)
THEIR_LINES = ["127.0.0.1 localhost\n", "10.42.0.11 node1\n", "\n", "# terrible\n", " # end terrible\n"]
MARKS = ["# begin terrible\n", "# end terrible\n", "10.42.0.9\tnode9\t# by terrible\n"]


def hosts(text: str = FOREIGN) -> None:
    hostnames.HOSTS.write_text(text)


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One without systemd-resolved."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "bin").mkdir()
    for name, path in (
        ("HOSTS", "etc/hosts"),
        ("RESOLV_CONF", "etc/resolv.conf"),
        ("NSSWITCH", "etc/nsswitch.conf"),
    ):
        monkeypatch.setattr(hostnames, name, tmp_path / path)
    monkeypatch.setattr(hostnames, "RESOLVED", tmp_path / "resolve")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (tmp_path / "etc/resolv.conf").write_text("nameserver 192.0.2.1\n")
    (tmp_path / "etc/nsswitch.conf").write_text("hosts: files dns\n")
    hosts()
    return tmp_path


def published(names: dict[str, str] = NAMES) -> str:
    return asyncio.run(publish(names, "demo.internal", "terrible0", "10.42.0.1"))


def withdrawn() -> None:
    asyncio.run(withdraw("terrible0"))


# -- the hosts file as text -------------------------------------------------------------------------------


@given(FOREIGN_TEXT, OUR_LINES)
def test_a_block_that_is_taken_out_has_never_been(text: str, lines: list[str]) -> None:
    assert without_block(text) == text
    assert without_block(with_block(text, lines)) == text


@given(FOREIGN_TEXT, OUR_LINES, OUR_LINES)
def test_a_second_block_takes_the_place_of_the_first(text: str, first: list[str], second: list[str]) -> None:
    assert with_block(with_block(text, first), second) == with_block(text, second)


@given(st.lists(st.sampled_from(THEIR_LINES + MARKS)), OUR_LINES)
def test_a_damaged_block_costs_no_line_of_others(mixed: list[str], lines: list[str]) -> None:
    theirs = "".join(line for line in mixed if line in THEIR_LINES)
    assert without_block("".join(mixed)) == theirs
    assert without_block(with_block("".join(mixed), lines)) == theirs


def test_a_block_without_its_end_loses_our_lines_only() -> None:
    damaged = FOREIGN + BLOCK.removesuffix("# end terrible\n") + "192.0.2.7 printer\n"
    assert without_block(damaged) == FOREIGN + "192.0.2.7 printer\n"


def test_a_block_stays_where_it_is() -> None:
    assert with_block(f"{FOREIGN}{BLOCK}192.0.2.7 printer\n", []) == (
        f"{FOREIGN}# begin terrible\n# end terrible\n192.0.2.7 printer\n"
    )


def test_what_was_put_behind_a_block_stays_a_line_of_its_own() -> None:
    with_ours = with_block("127.0.0.1 localhost", ["10.42.0.11\tnode1"]) + "192.0.2.7 printer\n"
    assert without_block(with_ours) == "127.0.0.1 localhost\n192.0.2.7 printer\n"


# -- the hosts file -----------------------------------------------------------------------------------------


def test_the_head_knows_its_nodes_and_forgets_them() -> None:
    assert published() == str(hostnames.HOSTS)
    assert hostnames.HOSTS.read_text() == FOREIGN + BLOCK
    withdrawn()
    assert hostnames.HOSTS.read_text() == FOREIGN


def test_other_names_take_the_place_of_the_old_ones() -> None:
    published({"node9": "10.42.0.19"})
    published()
    assert hostnames.HOSTS.read_text() == FOREIGN + BLOCK


def test_nothing_is_written_where_nothing_changes() -> None:
    withdrawn()
    before = hostnames.HOSTS.stat()
    published()
    published_first = hostnames.HOSTS.stat()
    published()
    assert hostnames.HOSTS.stat() == published_first
    assert before.st_ino != published_first.st_ino, "it is replaced, not written over"
    withdrawn()
    withdrawn_first = hostnames.HOSTS.stat()
    withdrawn()
    assert hostnames.HOSTS.stat() == withdrawn_first


def test_a_file_that_is_not_there_comes_to_be_and_is_left_empty() -> None:
    hostnames.HOSTS.unlink()
    withdrawn()
    assert not hostnames.HOSTS.exists()
    published()
    assert hostnames.HOSTS.read_text() == BLOCK
    assert stat.S_IMODE(hostnames.HOSTS.stat().st_mode) == 0o644
    withdrawn()
    assert hostnames.HOSTS.read_text() == ""


def test_bytes_of_others_are_kept_whatever_they_are() -> None:
    theirs = b"127.0.0.1 localhost\r\n192.0.2.7 caf\xe9 \xff\x00\n# no end"
    hostnames.HOSTS.write_bytes(theirs)
    published()
    assert b"node2" in hostnames.HOSTS.read_bytes()
    withdrawn()
    assert hostnames.HOSTS.read_bytes() == theirs


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file away")
def test_mode_and_owner_stay() -> None:
    os.chown(hostnames.HOSTS, 12, 34)
    hostnames.HOSTS.chmod(0o664)
    published()
    status = hostnames.HOSTS.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12, 34, 0o664)


def test_a_link_stays_one(machine: Path) -> None:
    real = machine / "real"
    hostnames.HOSTS.rename(real)
    hostnames.HOSTS.symlink_to(real)
    published()
    assert hostnames.HOSTS.is_symlink()
    assert real.read_text() == FOREIGN + BLOCK


def test_what_a_killed_process_left_is_in_nobodys_way(machine: Path) -> None:
    (machine / "etc/.hosts.terrible").write_text("half")
    published()
    assert sorted(path.name for path in (machine / "etc").iterdir()) == [
        "hosts",
        "nsswitch.conf",
        "resolv.conf",
    ]


def test_a_file_that_cannot_be_changed_is_said(machine: Path) -> None:
    hostnames.HOSTS.unlink()
    hostnames.HOSTS.mkdir()
    with pytest.raises(HostError, match="hosts cannot be changed: Is a directory"):
        published()


@pytest.mark.parametrize("readonly", [False, True])
def test_a_file_that_is_a_mount_point_is_written_in_place(machine: Path, readonly: bool) -> None:
    shared = machine / "shared"
    shared.write_text(FOREIGN)
    etc = machine / "etc"
    # As ProtectSystem=strict with ReadWritePaths=/etc/hosts has it, and as containers have it.
    above = f"mount --bind {etc} {etc} && mount -o remount,bind,ro {etc} && " if readonly else ""
    assert mounted(machine, f"{above}mount --bind {shared} {etc}/hosts") == FOREIGN + BLOCK
    assert shared.read_text() == FOREIGN
    assert [path.name for path in etc.glob(".*")] == []


def test_a_full_disk_costs_nothing_of_the_file(machine: Path) -> None:
    # In place there would be room, and a file that is cut short when there is none.
    (machine / "kept").write_text(FOREIGN)
    full = f"mount -t tmpfs -o nr_inodes=2 tmpfs {machine}/etc && cp {machine}/kept {machine}/etc/hosts"
    assert "hosts cannot be changed: No space left on device" in mounted(machine, full).splitlines()[-1]


def test_a_directory_that_cannot_be_written_is_said(machine: Path) -> None:
    etc = machine / "etc"
    hostnames.HOSTS.unlink()
    said = mounted(machine, f"mount --bind {etc} {etc} && mount -o remount,bind,ro {etc}")
    assert "hosts cannot be changed: Read-only file system" in said.splitlines()[-1]


def mounted(machine: Path, commands: str) -> str:
    """What the hosts file is while names are published where something else is mounted, or why it is not."""
    if os.geteuid() != 0:
        missing("only root mounts")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f"{commands} && exec {sys.executable} -c '{PROGRAM}' {machine}"],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    return done.stdout + done.stderr


PROGRAM = """
import asyncio, sys
from pathlib import Path
from terrible.net import hostnames
hostnames.HOSTS = Path(sys.argv[1]) / "etc/hosts"
hostnames.RESOLVED = Path("/nowhere")
names = {"node1": "10.42.0.11", "node2": "10.42.0.12"}
asyncio.run(hostnames.publish(names, "demo.internal", "terrible0", "10.42.0.1"))
print(hostnames.HOSTS.read_text(), end="")
asyncio.run(hostnames.withdraw("terrible0"))
"""


# -- systemd-resolved ---------------------------------------------------------------------------------------


def resolved(machine: Path, *, fails: str = "nothing") -> Path:
    """A machine that runs it and asks it; what its command was called with."""
    (machine / "resolve").mkdir()
    hostnames.RESOLV_CONF.unlink()
    hostnames.RESOLV_CONF.symlink_to(machine / "resolve/stub-resolv.conf")
    said = machine / "said"
    said.touch()
    command = machine / "bin/resolvectl"
    command.write_text(
        f'#!/bin/sh\necho "$@" >>{said}\n[ "$1" != {fails} ] || {{ echo broken >&2; exit 1; }}\n'
    )
    command.chmod(0o755)
    return said


def test_resolved_is_told_to_ask_us_for_our_names_and_for_nothing_else(machine: Path) -> None:
    said = resolved(machine)
    assert published() == "systemd-resolved"
    assert said.read_text().splitlines() == [
        "default-route terrible0 no",
        "domain terrible0 demo.internal ~11.0.42.10.in-addr.arpa ~12.0.42.10.in-addr.arpa",
        "dnsovertls terrible0 no",
        "dnssec terrible0 no",
        "dns terrible0 10.42.0.1",
    ]
    assert hostnames.HOSTS.read_text() == FOREIGN
    said.write_text("")
    withdrawn()
    assert said.read_text() == "revert terrible0\n"


def test_programs_that_ask_resolved_directly_are_as_good(machine: Path) -> None:
    resolved(machine)
    hostnames.RESOLV_CONF.unlink()
    hostnames.NSSWITCH.write_text("passwd: files\nhosts: files resolve [!UNAVAIL=return] dns\n")
    assert published() == "systemd-resolved"


@pytest.mark.parametrize("resolv_conf", ["nameserver 192.0.2.1\n", "nameserver 127.0.0.53\n"])
def test_a_resolved_that_nobody_asks_for_short_names_is_not_relied_on(
    machine: Path, resolv_conf: str
) -> None:
    resolved(machine)
    hostnames.RESOLV_CONF.unlink()
    hostnames.RESOLV_CONF.write_text(resolv_conf)
    assert published() == str(hostnames.HOSTS)


def test_a_resolved_that_is_not_there_is_not_relied_on(machine: Path) -> None:
    said = resolved(machine)
    hostnames.NSSWITCH.write_text("hosts: resolve\n")
    hostnames.RESOLVED.rmdir()
    assert published() == str(hostnames.HOSTS)
    withdrawn()
    assert said.read_text() == ""


@pytest.mark.parametrize("fails", ["default-route", "dns"])
def test_a_resolved_that_refuses_leaves_it_to_the_hosts_file(machine: Path, fails: str) -> None:
    said = resolved(machine, fails=fails)
    assert published() == str(hostnames.HOSTS)
    assert said.read_text().endswith("revert terrible0\n"), "nothing half done is left"
    assert hostnames.HOSTS.read_text() == FOREIGN + BLOCK


def test_a_resolved_that_comes_later_takes_the_names_over(machine: Path) -> None:
    published()
    resolved(machine)
    assert published() == "systemd-resolved"
    assert hostnames.HOSTS.read_text() == FOREIGN


def test_withdrawing_works_where_the_bridge_is_gone_or_resolved_has_been_removed(machine: Path) -> None:
    resolved(machine, fails="revert")
    hosts(FOREIGN + BLOCK)
    withdrawn()
    assert hostnames.HOSTS.read_text() == FOREIGN
    (machine / "bin/resolvectl").unlink()
    withdrawn()
