"""Who answers: only who was asked, with the number that was asked."""

from __future__ import annotations

import asyncio
import struct

from hypothesis import given
from hypothesis import strategies as st

from terrible.net import echo
from terrible.net.echo import Echo, reply, request


def answer(identity: int, number: int, kind: int = 0) -> bytes:
    return struct.pack("!BBHHH", kind, 0, 0, identity, number)


def test_a_reply_is_known_by_its_number() -> None:
    assert reply(answer(7, 42), None) == 42
    assert reply(b"\x45" + b"\0" * 19 + answer(7, 42), 7) == 42


def test_another_s_reply_and_what_is_none_are_not_ours() -> None:
    assert reply(b"\x45" + b"\0" * 19 + answer(8, 42), 7) is None
    assert reply(answer(7, 42, kind=8), None) is None
    assert reply(answer(7, 42)[:7], None) is None


def test_a_request_sums_up_to_nothing() -> None:
    """RFC 1071: the sum over all, the checksum included, is all ones."""
    for number in (1, 0xFFFF):
        total = sum(struct.unpack("!4H", request(0xABCD, number)))
        assert (total & 0xFFFF) + (total >> 16) == 0xFFFF


@given(st.binary(max_size=80))
def test_any_packet_can_be_read(data: bytes) -> None:
    reply(data, None)
    reply(data, 7)


def test_this_machine_answers_itself_and_an_address_of_nobody_does_not() -> None:
    async def ask() -> tuple[bool, bool, int]:
        asking = Echo()
        try:
            one = await asking.answers("127.0.0.1", 5.0)
            return one, await asking.answers("240.0.0.1", 0.05), len(asking._waiting)
        finally:
            asking.close()

    assert asyncio.run(ask()) == (True, False, 0)


def test_a_connection_refused_is_an_answer_and_a_service_says_its_line() -> None:
    async def ask() -> list[object]:
        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-x\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        found: list[object] = [
            await echo.connects("127.0.0.1", port, 5.0),
            await echo.banner("127.0.0.1", port, 5.0),
        ]
        server.close()
        await server.wait_closed()
        return [
            *found,
            await echo.connects("127.0.0.1", port, 5.0),
            await echo.banner("127.0.0.1", port, 5.0),
        ]

    assert asyncio.run(ask()) == [True, "SSH-2.0-x", True, None]
