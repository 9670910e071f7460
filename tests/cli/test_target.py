"""Which broker and cluster a command means, and what is said where that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrible.cli import target as room
from terrible.cli.completion import completed
from terrible.cli.target import Where, target
from terrible.errors import UsageError


@pytest.fixture(autouse=True)
def standard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for the agent's own configuration; nothing is there yet."""
    path = tmp_path / "standard.toml"
    monkeypatch.setattr(room, "STANDARD", path)
    return path


def configured(path: Path, text: str = "") -> Path:
    path.write_text(f'cluster = "rack"\n[mqtt]\nhost = "head"\nport = 1999\n{text}')
    return path


def test_what_is_said_wins_over_the_environment_and_that_over_a_configuration(standard: Path) -> None:
    configured(standard)
    environment = {"TERRIBLE_BROKER": "mqtt://elsewhere:7"}
    assert str(target(Where("mqtts://said"), environment).address) == "mqtts://said:8883"
    assert str(target(Where(), environment).address) == "mqtt://elsewhere:7"
    assert str(target(Where(), {}).address) == "mqtt://head:1999"


def test_without_a_word_it_is_this_machine_and_whichever_cluster_is_there() -> None:
    meant = target(Where(), {})
    assert (str(meant.address), meant.cluster) == ("mqtt://localhost:1883", None)


def test_a_configuration_names_its_cluster_unless_another_is_said(tmp_path: Path, standard: Path) -> None:
    configured(standard)
    assert target(Where(), {}).cluster == "rack"
    assert target(Where("mqtt://central"), {}).cluster == "rack"
    assert target(Where(cluster="lab"), {}).cluster == "lab"
    other = configured(tmp_path / "other.toml")
    other.write_text('cluster = "other"\n')
    assert target(Where(config=other), {}).cluster == "other"
    assert target(Where(), {"TERRIBLE_CLUSTER": "env"}).cluster == "env"


def test_user_and_password_come_from_where_nobody_else_reads_them(tmp_path: Path, standard: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hidden\n")
    configured(standard, f'username = "me"\npassword_file = "{secret}"\n')
    address = target(Where(), {}).address
    assert (address.username, address.password) == ("me", "hidden")
    address = target(Where(), {"TERRIBLE_BROKER": "mqtt://me:hidden@head"}).address
    assert (address.username, address.password) == ("me", "hidden")


def test_a_password_in_a_command_line_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="TERRIBLE_BROKER") as refused:
        target(Where("mqtt://me:hidden@head"), {})
    assert "hidden" not in str(refused.value)
    assert target(Where("mqtt://me@head"), {}).address.username == "me"


def test_a_password_that_this_user_may_not_read_says_what_to_do(tmp_path: Path, standard: Path) -> None:
    configured(standard, f'password_file = "{tmp_path / "none"}"\n')
    with pytest.raises(UsageError, match="TERRIBLE_BROKER"):
        target(Where(), {})


@pytest.mark.parametrize(
    ("where", "environment", "said"),
    [
        (Where("http://x"), {}, "--broker: the broker's URL begins with"),
        (Where(), {"TERRIBLE_BROKER": "nonsense"}, "TERRIBLE_BROKER: the broker's URL begins with"),
        (Where(config=Path("/nonexistent.toml")), {}, "/nonexistent.toml: No such file"),
        (Where(), {"TERRIBLE_NONSENSE": "1"}, "nonsense: unknown key"),
    ],
)
def test_what_cannot_be_used_is_a_usage_error(where: Where, environment: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        target(where, environment)
    assert refused.value.exit_code == 2


def test_a_broken_configuration_is_no_hindrance_where_it_is_not_needed(standard: Path) -> None:
    standard.write_text("broken [")
    assert target(Where("mqtt://head", "rack"), {}).cluster == "rack"
    with pytest.raises(UsageError):
        target(Where("mqtt://head"), {})


def test_one_that_this_user_cannot_read_is_as_none(standard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(standard)
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root, as whom tests may run, reads all
    assert str(target(Where(), {}).address) == "mqtt://localhost:1883"


@pytest.mark.parametrize(
    ("incomplete", "offered"),
    [
        ("", ["node1", "node2", "all"]),
        ("a", ["all"]),
        ("node2", ["node2"]),
        ("node1,", ["node1,node2"]),
        ("x,n", ["x,node1", "x,node2"]),
        ("node1,node2,", []),
        ("q", []),
    ],
)
def test_slots_complete_one_after_the_other(incomplete: str, offered: list[str]) -> None:
    assert completed(incomplete, ["node1", "node2"]) == offered
    assert completed(incomplete, []) == []
