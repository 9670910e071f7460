"""Whoever has the ports of a dnsmasq is found by the kernel's own tables, and named."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from terrible.net.listeners import Listener, listeners
from tests.net.namespaces import enter, entering, namespace, which

BRIDGE = "10.99.0.1"
# Binds what it is told, and prints what it finds itself, or what a child of that user does.
PROGRAM = """
import dataclasses, json, os, socket, sys
from terrible.net.listeners import listeners
user, *binds = sys.argv[1:]
kept = []
for bind in binds:
    protocol, address, port = bind.split()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kept.append(socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM))
    kept[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    kept[-1].bind((address, int(port)))
    if protocol == "tcp":
        kept[-1].listen()
    if protocol == "connected":
        kept[-1].connect(("127.0.0.1", 9))
if user and os.fork():
    os.wait()
    os._exit(0)
if user:
    for one in kept:
        one.close()
    os.setresuid(int(user), int(user), int(user))
print(json.dumps([os.getpid(), [dataclasses.asdict(one) for one in listeners("10.99.0.1")]]))
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[int]:
    with namespace() as name:
        enter(name, "ip", "address", "add", f"{BRIDGE}/24", "dev", "lo")
        enter(name, "ip", "address", "add", "10.99.0.2/24", "dev", "lo")
        yield name


def found(machine: int, *binds: str, user: str = "") -> tuple[int, list[dict[str, Any]]]:
    pid, listed = json.loads(enter(machine, sys.executable, "-c", PROGRAM, user, *binds))
    return pid, listed


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        (f"udp {BRIDGE} 53", BRIDGE),
        (f"tcp {BRIDGE} 53", BRIDGE),
        ("udp 0.0.0.0 53", "0.0.0.0"),
        ("tcp 0.0.0.0 53", "0.0.0.0"),
        ("udp :: 53", "::"),
        ("tcp :: 53", "::"),
        (f"udp ::ffff:{BRIDGE} 53", BRIDGE),
        ("udp 0.0.0.0 67", "0.0.0.0"),
        ("udp 10.99.0.2 67", "10.99.0.2"),
    ],
)
def test_who_is_in_the_way_is_named(machine: int, bind: str, address: str) -> None:
    protocol, _, port = bind.split()
    pid, listed = found(machine, bind)
    assert listed == [
        {
            "port": int(port),
            "protocol": protocol,
            "address": address,
            "pid": pid,
            "program": listed[0]["program"],
        }
    ]
    assert listed[0]["program"].startswith("python")


def test_who_is_not_in_the_way_is_not_named(machine: int) -> None:
    elsewhere = [
        "udp 127.0.0.53 53",
        "tcp 127.0.0.53 53",
        "udp 10.99.0.2 53",
        "tcp 10.99.0.2 53",
        "udp ::1 53",
    ]
    other_ports = ["udp 0.0.0.0 5353", "tcp 0.0.0.0 67", "udp 0.0.0.0 68", "tcp 0.0.0.0 22"]
    clients = ["connected 0.0.0.0 53", "connected 0.0.0.0 67"]
    assert found(machine, *elsewhere, *other_ports, *clients)[1] == []


def test_many_sockets_of_one_program_are_one(machine: int) -> None:
    assert len(found(machine, *["udp 0.0.0.0 53"] * 3, "udp 0.0.0.0 67")[1]) == 2


def test_a_program_of_another_user_is_unknown(machine: int) -> None:
    assert found(machine, "udp 0.0.0.0 53", user="65534")[1] == [
        {"port": 53, "protocol": "udp", "address": "0.0.0.0", "pid": None, "program": None}
    ]


def test_another_dnsmasq_is_found_on_all_its_ports(machine: int, tmp_path: Path) -> None:
    command = [
        *entering(machine), which("dnsmasq"), "--keep-in-foreground", "--user=root",
        "--conf-file=/dev/null", "--pid-file=", "--log-facility=-", "--interface=lo", "--no-resolv",
        "--dhcp-range=10.99.0.100,10.99.0.200", f"--dhcp-leasefile={tmp_path / 'leases'}",
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            assert any("IP range" in line for line in server.stderr), "it has not started"
            _, listed = found(machine)
        finally:
            server.kill()
    assert {(one["protocol"], one["port"]) for one in listed} == {("udp", 53), ("tcp", 53), ("udp", 67)}
    assert {(one["program"], one["pid"]) for one in listed} == {("dnsmasq", server.pid)}


# -- what a machine shows, put together by hand ---------------------------------------------------------


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    where = f"{struct.unpack('=I', socket.inet_aton('0.0.0.0'))[0]:08X}"
    line = f"7: {where}:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000 100 0 4711 2 ffff 0\n"
    (tmp_path / "net/udp").write_text("  sl  local_address rem_address   st …\n" + line)
    return tmp_path


def process(proc: Path, pid: int, name: str, *links: str) -> None:
    (proc / f"{pid}/fd").mkdir(parents=True)
    (proc / f"{pid}/comm").write_text(f"{name}\n")
    for number, link in enumerate(links):
        (proc / f"{pid}/fd/{number}").symlink_to(link)


def test_a_kernel_without_ipv6_has_fewer_tables(proc: Path) -> None:
    assert listeners(BRIDGE, proc) == [Listener(53, "udp", "0.0.0.0", None, None)]


def test_systemd_keeps_the_sockets_of_others(proc: Path) -> None:
    process(proc, 1, "systemd", "/dev/null", "socket:[4711]")
    assert listeners(BRIDGE, proc) == [Listener(53, "udp", "0.0.0.0", 1, "systemd")]
    process(proc, 100, "worker", "socket:[4711]", "pipe:[4711]")
    process(proc, 99, "named", "socket:[471]", "socket:[4711]")
    assert listeners(BRIDGE, proc) == [Listener(53, "udp", "0.0.0.0", 99, "named")]


def test_a_process_that_ends_while_it_is_looked_at_is_passed_over(proc: Path) -> None:
    (proc / "500").mkdir()
    process(proc, 600, "gone", "socket:[4711]")
    (proc / "600/comm").unlink()
    assert listeners(BRIDGE, proc) == [Listener(53, "udp", "0.0.0.0", 600, None)]
