"""Whoever may speak to the helper can have the configured network up or down, and can change nothing else."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Iterator

import pytest

from . import snapshot
from .program import SOCKET, Program

SECONDS = 30.0 if os.environ.get("LONG") == "1" else 2.0
OPS: list[object] = [
    "apply",
    "reload",
    "join",
    "watch",
    "Apply",
    "join ",
    "exec",
    "",
    None,
    7,
    ["join"],
    {"op": "join"},
]
WORDS: list[object] = [
    *(
        "1-1.1",
        "eth0",
        "wan0",
        "lo",
        "../../etc/passwd",
        "/etc/shadow",
        "$(reboot)",
        "; reboot",
        "-h",
        "a\nb",
        "\0",
        "é" * 40,
    ),
    *(
        "0.0.0.0/0",
        "10.42.0.1/24",
        "192.168.2.1/24",
        "198.51.100.2/24",
        "10.42.0.1/24\ninterface=wan0",
        "\u2028",
    ),
    *(0, 1, 2, -1, 251, 1 << 70, 1.5, 1e999, True, False, None, [], {}, [1], {"slot": 1}),
]
KEYS = ["slot", "prefer", "interface", "bridge", "subnet", "config", "argv", "v", "op", "address", ""]
_ASK_AS_NOBODY = """
import contextlib, os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as s:
    s.connect(sys.argv[1])
    with contextlib.suppress(BrokenPipeError):  # it has been refused already
        s.sendall(b'{"v":1,"op":"down"}\\n')
    print(s.recv(4096).decode())
"""


def test_no_request_changes_anything_outside(populated: Program) -> None:
    rng = random.Random(seed := random.randrange(1 << 32))
    print(f"random.Random({seed})")
    before, began, asked = snapshot.take(populated.head), time.monotonic(), 0
    for request in requests(rng):
        populated.raw(request)
        asked += 1
        if time.monotonic() - began > SECONDS:
            break
    print(f"{asked} requests")
    snapshot.unchanged(populated.head, before)
    assert populated.standing()["subnet"] == "10.42.0.1/24"
    assert populated.lab.nodes[0].ping("203.0.113.1")


@pytest.mark.parametrize(
    "data",
    [
        b"\n", b"{}\n", b"[]\n", b"null\n", b"\xff\xfe\n", b"[" * 4000 + b"\n",
        b"x" * 100_000 + b"\n", b'{"v":1,"op":"down"',
        b'{"v":2,"op":"down"}\n', b'{"v":1,"op":"down","slot":1}\n', b'{"v":1,"op":"join","slot":true}\n',
        b'{"v":1,"op":"join","slot":5}\n', b'{"v":1,"op":"join"}\n', b'{"v":1,"op":"apply","prefer":1}\n',
    ],
    ids=lambda data: data[:30].decode(errors="replace"),
)  # fmt: skip
def test_what_is_no_request_is_refused(populated: Program, data: bytes) -> None:
    with populated.connect() as connection, connection.makefile("rb") as lines:
        try:
            connection.sendall(data)
            connection.shutdown(1)
            said = lines.readline()
        except (BrokenPipeError, ConnectionResetError):
            said = b""
    assert not said or json.loads(said)["ok"] is False
    assert populated.standing()["subnet"] == "10.42.0.1/24"


def test_only_root_and_the_agent_are_served(populated: Program) -> None:
    directory, path = populated.head.file(os.path.dirname(SOCKET)), populated.head.file(SOCKET)
    modes = directory.stat().st_mode, path.stat().st_mode
    ask = [sys.executable, "-I", "-S", "-c", _ASK_AS_NOBODY, SOCKET]
    assert "PermissionError" in populated.head.attempt(*ask)[2], "it cannot even connect"
    try:
        directory.chmod(0o755)
        path.chmod(0o666)
        code, said, complaint = populated.head.attempt(*ask)
    finally:
        directory.chmod(modes[0])
        path.chmod(modes[1])
    assert code == 0, complaint
    assert "uid 65534" in json.loads(said)["error"]
    assert populated.standing()["subnet"] == "10.42.0.1/24"


def test_those_who_say_nothing_or_never_read_hold_nobody_up(populated: Program) -> None:
    silent = [populated.connect() for _ in range(50)]
    watching = [populated.connect() for _ in range(40)]
    try:
        for connection in watching:
            connection.sendall(b'{"v":1,"op":"watch"}\n')
        began = time.monotonic()
        assert populated.ask(op="join", slot=1)["ok"]
        assert time.monotonic() - began < 2
    finally:
        for connection in silent + watching:
            connection.close()


def test_a_configuration_that_others_could_have_written_is_not_believed(populated: Program) -> None:
    populated.config.chmod(0o666)
    try:
        answer = populated.ask(op="reload")
    finally:
        populated.config.chmod(0o644)
    assert answer["ok"] is False
    assert "owned by root" in answer["error"]
    assert populated.standing()["subnet"] == "10.42.0.1/24"


def requests(rng: random.Random) -> Iterator[bytes]:
    """Nearly right, wrong and absurd; everything but a plain `down`."""
    while True:
        request: dict[str, object] = {"v": rng.choice([1, 1, 1, 1, 2, "1", None]), "op": rng.choice(OPS)}
        for _ in range(rng.randrange(3)):
            request[rng.choice(KEYS)] = rng.choice(WORDS)
        line = json.dumps(request).encode()
        if rng.random() < 0.3:
            at = rng.randrange(len(line))
            line = line[:at] + rng.randbytes(rng.randrange(1, 4)) + line[at + rng.randrange(3) :]
        if b"down" not in line:
            yield line.replace(b"\n", b" ") + b"\n"
