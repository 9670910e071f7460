"""Servers on a real link, a real bridge and a real guard: found, whatever is dropped behind the tap."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import select
import socket
import struct
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import uvloop

from terrible.net import dhcp
from terrible.net.dhcp import Offer, offer
from terrible.net.discover import ASKED, MOST, PATIENCE, servers
from tests.net.namespaces import enter, entering, namespace, which, wire, within

Loop = Callable[[], asyncio.AbstractEventLoop]
LOOPS: list[Loop] = [asyncio.new_event_loop, uvloop.new_event_loop]
SECONDS = 0.6
QUICK = "--no-ping"
GUARD = """
table bridge guard {
    counter refused { }
    chain prerouting {
        type filter hook prerouting priority -300; policy accept;
        udp sport 67 counter name refused drop
    }
}
"""


@pytest.fixture
def link() -> Iterator[tuple[int, int]]:
    """A head whose `port` leads to `usb0` of a node, which is 10.99.0.1."""
    with namespace() as head, namespace() as node:
        wire(head, "port", node, "usb0")
        enter(node, "ip", "address", "add", "10.99.0.1/24", "dev", "usb0")
        yield head, node


def run(where: int, asking: Coroutine[Any, Any, list[Offer]], loop: Loop = LOOPS[0]) -> list[Offer]:
    def asked() -> list[Offer]:
        with asyncio.Runner(loop_factory=loop) as runner:
            return runner.run(asking)

    return within(where, asked)


@contextlib.contextmanager
def dnsmasq(where: int, interface: str, directory: Path, *options: str) -> Iterator[None]:
    """A DHCP server for whoever asks, ready when the body runs."""
    command = [
        *entering(where), which("dnsmasq"), "--keep-in-foreground",
        "--conf-file=/dev/null", "--port=0", "--user=root", "--pid-file=", "--log-facility=-", *options,
        "--bind-interfaces", f"--interface={interface}", "--dhcp-range=10.99.0.100,10.99.0.200",
        f"--dhcp-leasefile={directory}/{where}",
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            assert any("IP range" in line for line in server.stderr), "it has not started"
            yield
        finally:
            server.kill()


def bridge(head: int) -> None:
    enter(head, "ip", "link", "add", "bridge", "up", "type", "bridge", "stp_state", "0", "forward_delay", "0")
    enter(head, "ip", "link", "set", "port", "master", "bridge")


def refused(head: int) -> int:
    listed = json.loads(enter(head, "nft", "-j", "list", "counter", "bridge", "guard", "refused"))
    return int(listed["nftables"][1]["counter"]["packets"])


def mac(where: int, interface: str) -> str:
    return str(json.loads(enter(where, "ip", "-j", "link", "show", interface))[0]["address"])


@pytest.mark.parametrize("loop", LOOPS)
def test_a_server_behind_an_interface_is_found(link: tuple[int, int], tmp_path: Path, loop: Loop) -> None:
    head, node = link
    with dnsmasq(node, "usb0", tmp_path, QUICK):
        (found,) = run(head, servers("port", SECONDS), loop)
    assert found.server == "10.99.0.1"
    assert found.source == mac(node, "usb0")
    assert ipaddress.IPv4Address("10.99.0.100") <= ipaddress.IPv4Address(found.address)


@pytest.mark.parametrize("loop", LOOPS)
def test_the_guard_drops_the_answers_of_a_bridge_port_and_they_are_seen_all_the_same(
    link: tuple[int, int], tmp_path: Path, loop: Loop
) -> None:
    head, node = link
    bridge(head)
    enter(head, "nft", "-f", "-", given=GUARD)
    with dnsmasq(node, "usb0", tmp_path, QUICK):
        (found,) = run(head, servers("port", SECONDS), loop)
        assert found.server == "10.99.0.1"
        dropped = refused(head)
        assert dropped > 0, "the guard has not seen the answers, so this proves nothing"
        assert run(head, servers("bridge", SECONDS)) == []
        assert refused(head) > dropped


def test_who_asks_for_one_waits_no_longer(link: tuple[int, int], tmp_path: Path) -> None:
    head, node = link
    with dnsmasq(node, "usb0", tmp_path, QUICK):
        asking = asyncio.wait_for(servers("port", 3600, most=1), 20)
        assert [one.server for one in run(head, asking)] == ["10.99.0.1"]


def test_a_server_that_first_pings_what_it_offers_is_found_too(link: tuple[int, int], tmp_path: Path) -> None:
    head, node = link
    with dnsmasq(node, "usb0", tmp_path):
        assert len(run(head, servers("port", PATIENCE))) == 1
        assert len(run(head, servers("port", SECONDS))) == 1, "it knows us by now"


def test_without_the_guard_the_bridge_itself_hears_them(link: tuple[int, int], tmp_path: Path) -> None:
    head, node = link
    bridge(head)
    with dnsmasq(node, "usb0", tmp_path, QUICK):
        assert [one.server for one in run(head, servers("bridge", SECONDS))] == ["10.99.0.1"]


def test_our_own_server_is_none_of_them(link: tuple[int, int], tmp_path: Path) -> None:
    head, node = link
    with dnsmasq(node, "usb0", tmp_path, QUICK):
        assert run(head, servers("port", SECONDS, ignore=frozenset({"10.99.0.1"}))) == []


def test_two_servers_on_a_bridge_are_two(link: tuple[int, int], tmp_path: Path) -> None:
    head, node = link
    bridge(head)
    with namespace() as second:
        wire(head, "second", second, "usb0")
        enter(head, "ip", "link", "set", "second", "master", "bridge")
        enter(second, "ip", "address", "add", "10.99.0.2/24", "dev", "usb0")
        with dnsmasq(node, "usb0", tmp_path, QUICK), dnsmasq(second, "usb0", tmp_path, QUICK):
            found = run(head, servers("bridge", SECONDS))
    assert {one.server for one in found} == {"10.99.0.1", "10.99.0.2"}


# -- what dnsmasq would not do ----------------------------------------------------------------------------


def reply(question: bytes, number: int = 0, xid: int | None = None) -> bytes:
    """The offer of 10.99.1.`number` to a question."""
    message = bytearray(question[42:])
    message[0] = 2
    message[4:8] = message[4:8] if xid is None else struct.pack("!I", xid)
    message[240:] = bytes([53, 1, 2, 54, 4, 10, 99, number // 256, number % 256, 255])
    udp = struct.pack("!HHHH", 67, 68, 8 + len(message), 0) + message
    ip = (
        struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0)
        + bytes([10, 99, 0, 1])
        + b"\xff" * 4
    )
    return b"\xff" * 6 + question[6:12] + b"\x08\x00" + ip + udp


@contextlib.contextmanager
def stranger(node: int, answers: Callable[[bytes], list[bytes]]) -> Iterator[None]:
    """Answers each question that arrives at the node with whatever frames `answers` makes of it."""
    tap = within(node, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
    tap.bind(("usb0", 0x0800))
    stop, stopping = socket.socketpair()

    def serve() -> None:
        while stop not in select.select([tap, stop], [], [])[0]:
            question = tap.recv(2048)
            if question[23] == 17 and question[36:38] == b"\x00\x43":
                for frame in answers(question):
                    tap.send(frame)

    with tap, stop, stopping, ThreadPoolExecutor(1) as pool:
        serving = pool.submit(serve)
        try:
            yield
        finally:
            stopping.send(b"!")
            serving.result()


def test_the_first_question_may_be_lost(link: tuple[int, int]) -> None:
    head, node = link
    asked: list[bytes] = []

    def second_time(question: bytes) -> list[bytes]:
        asked.append(question)
        return [reply(question)] if len(asked) == 2 else []

    with stranger(node, second_time):
        assert len(run(head, servers("port", SECONDS))) == 1
    assert asked[0] == asked[1]
    assert asked[0][6] & 3 == 2, "the client's MAC is nobody's"


def test_one_server_that_answers_both_is_one(link: tuple[int, int]) -> None:
    head, node = link
    with stranger(node, lambda question: [reply(question), reply(question)]):
        assert len(run(head, servers("port", SECONDS))) == 1


def test_an_answer_to_somebody_else_is_none_to_us(link: tuple[int, int]) -> None:
    head, node = link
    with stranger(node, lambda question: [reply(question, xid=int.from_bytes(question[46:50]) ^ 1)]):
        assert run(head, servers("port", SECONDS)) == []


def test_a_flood_of_servers_fills_no_memory(link: tuple[int, int]) -> None:
    head, node = link
    with stranger(node, lambda question: [reply(question, number) for number in range(2 * MOST)]):
        assert len(run(head, servers("port", SECONDS))) == MOST


def test_only_answers_wake_us(link: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    head, node = link
    heard: list[bytes] = []

    def parse(frame: bytes) -> Offer | None:
        heard.append(frame)
        return offer(frame)

    def chatter(question: bytes) -> list[bytes]:
        answer = reply(question)
        unlike = ((12, 0x86), (20, 0x01), (23, 6), (37, 0x45))  # ethertype, fragment, protocol, port
        return [answer[:at] + bytes([byte]) + answer[at + 1 :] for at, byte in unlike] + [answer]

    monkeypatch.setattr(dhcp, "offer", parse)
    with stranger(node, chatter):
        assert len(run(head, servers("port", SECONDS))) == 1
    assert len(heard) == ASKED, "one for each question"


def test_nobody_is_nobody(link: tuple[int, int]) -> None:
    assert run(link[0], servers("port", 0.1)) == []


def test_an_interface_that_cannot_be_asked_says_so(link: tuple[int, int]) -> None:
    head, _ = link
    with pytest.raises(OSError, match="No such device"):
        run(head, servers("nowhere", SECONDS))
    enter(head, "ip", "link", "set", "port", "down")
    with pytest.raises(OSError, match="Network is down"):
        run(head, servers("port", SECONDS))


@pytest.mark.parametrize("loop", LOOPS)
def test_an_interface_that_goes_while_it_is_asked_ends_the_wait(link: tuple[int, int], loop: Loop) -> None:
    head, node = link

    def goes(question: bytes) -> list[bytes]:
        enter(head, "ip", "link", "delete", "port")
        return []

    with stranger(node, goes), pytest.raises(OSError, match=r"Network is down|No such device"):
        run(head, servers("port", 3600), loop)
