"""A handful of typed requests, and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrible.net import messages
from terrible.net.messages import NetRequest
from terrible.net.plan import Standing
from terrible.peers import Refused


@pytest.mark.parametrize(
    "request_",
    [
        NetRequest("apply"),
        NetRequest("apply", prefer="10.43.0.1/24"),
        NetRequest("reload"),
        NetRequest("join", slot=250),
        NetRequest("down"),
        NetRequest("watch"),
    ],
)
def test_each_request_is_what_it_was(request_: NetRequest) -> None:
    assert messages.parse(messages.ask(request_)) == request_


@pytest.mark.parametrize(
    "said",
    [
        {"v": 1, "op": "join"},
        {"v": 1, "op": "join", "slot": 0},
        {"v": 1, "op": "join", "slot": True},
        {"v": 1, "op": "join", "slot": 1, "interface": "eth0"},
        {"v": 1, "op": "apply", "prefer": "10.43.0.1/24", "bridge": "br0"},
        {"v": 1, "op": "apply", "prefer": "x" * 100},
        {"v": 1, "op": "down", "bridge": "docker0"},
        {"v": 2, "op": "down"},
        {"v": 1, "op": "exec", "argv": ["sh"]},
        ["v", 1],
        None,
    ],
)
def test_anything_more_or_less_is_refused(said: object) -> None:
    with pytest.raises(Refused):
        messages.parse(json.dumps(said).encode())


@given(st.binary(max_size=200))
def test_bytes_of_strangers_are_refused_and_nothing_worse(line: bytes) -> None:
    with pytest.raises(Refused):
        messages.parse(line)


def test_how_the_network_stands_is_what_it_was() -> None:
    standing = Standing("10.42.0.1/24", "terrible0", "wlan0", "/etc/hosts", "x", {2: "clone"}, {1: "usb0"})
    assert messages.answer(messages.done(standing)) == standing


def test_a_refusal_says_why() -> None:
    with pytest.raises(Refused, match="not up"):
        messages.answer(messages.refusal("not up"))


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b'{"ok": true}', b"\xff"])
def test_what_is_no_answer_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        messages.answer(line)
