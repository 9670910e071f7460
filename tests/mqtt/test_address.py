"""Broker URLs."""

from __future__ import annotations

import pytest

from terrible.mqtt.address import BrokerAddress, parse_broker_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://head", BrokerAddress("head", 1883)),
        ("mqtt://head:1884/", BrokerAddress("head", 1884)),
        ("mqtts://head", BrokerAddress("head", 8883, tls=True)),
        ("mqtt://me:p%40ss@[::1]:1883", BrokerAddress("::1", 1883, "me", "p@ss")),
    ],
)
def test_read(url: str, address: BrokerAddress) -> None:
    assert parse_broker_url(url) == address


@pytest.mark.parametrize(
    "url",
    ["", "head:1883", "http://head", "mqtt://", "mqtt://me:secret@head:x", "mqtt://me:secret@head:99999",
     "mqtt://me:secret@head/topic", "mqtt://:secret@head", "mqtt://me:secret@[head"],
)  # fmt: skip
def test_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(ValueError, match="broker's URL") as refused:
        parse_broker_url(url)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_password_is_never_shown() -> None:
    address = parse_broker_url("mqtts://me:secret@head")
    assert "secret" not in f"{address} {address!r}"
    assert str(address) == "mqtts://head:8883"
