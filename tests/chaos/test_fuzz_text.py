"""Whatever people write, into files and into commands, is understood or refused in printable words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import strategies as st

from terrible import configfile
from terrible.configfile import ConfigError
from terrible.mqtt.commands import Commands, Message, Refusal
from terrible.mqtt.topics import Topics
from tests.chaos.fuzz import fuzz, property_of
from tests.mqtt import test_commands

# -- configuration files ------------------------------------------------------------------------------

LINES = st.sampled_from(
    [
        'hub = "1-1"',
        "ports = 4",
        "[mqtt]",
        'host = "x"',
        "[limits]",
        "attempts = 3",
        "[slots.node1]",
        "[[hub]]",
    ]
) | st.text(max_size=30)
TOML = (
    st.lists(LINES, max_size=6).map("\n".join).map(lambda text: text.encode(errors="replace"))
) | st.binary(max_size=80)


def test_any_file_is_a_configuration_or_one_printable_line_for_each_fault(tmp_path: Path) -> None:
    path = tmp_path / "terrible.toml"

    @fuzz("config file", TOML)
    def any_file(content: bytes) -> None:
        path.write_bytes(content)
        try:
            configfile.load(path, {}).named_slots()
        except ConfigError as error:
            lines = str(error).splitlines()
            assert lines
            assert all(line.startswith(f"{path}: ") and line.isprintable() for line in lines)

    any_file()


def test_a_file_of_nothing_but_brackets_is_refused_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "terrible.toml"
    path.write_text("a = " + "[" * 5_000)
    with pytest.raises(ConfigError):
        configfile.load(path, {})


PAYLOADS = st.binary(max_size=100) | st.text(max_size=60).map(str.encode)

# -- commands -----------------------------------------------------------------------------------------


@fuzz("command", test_commands._TOPICS, test_commands._PAYLOADS, st.booleans())
def test_any_command(topic: str, payload: bytes, retained: bool) -> None:
    property_of(test_commands.test_nothing_that_arrives_can_raise)(topic, payload, retained)


@fuzz(
    "refusal",
    st.sampled_from(["request/boot", "request/power", "request/x\x1b", "node/n/power/set"]),
    PAYLOADS,
)
def test_no_refusal_moves_a_cursor(topic: str, payload: bytes) -> None:
    read = Commands(Topics("lab")).read(Message(f"terrible/lab/{topic}", payload), test_commands.NOW)
    assert not isinstance(read, Refusal) or read.message.isprintable()


def test_commands_remember_little_of_what_they_read() -> None:
    commands = Commands(Topics("lab"))
    for number in range(20_000):
        commands.read(
            Message("terrible/lab/request/boot", b'{"id":"%d","slots":"x"}' % number), test_commands.NOW
        )
        commands.read(Message(f"terrible/lab/request/{number}", b"\xff" * 100), test_commands.NOW)
        commands.read(Message(f"terrible/lab/node/n{number}/power/set", b"up"), test_commands.NOW)
    assert len(commands._answered) <= 1024
    assert len(commands.refused) < 10
