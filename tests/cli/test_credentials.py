"""What it takes to enter the broker: from files and from systemd, and what is said where it is not there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from terrible.cli import settings
from terrible.config import Config, MqttConfig
from terrible.configfile import ConfigError, load
from terrible.mqtt.address import BrokerAddress
from tests.mqtt.shipped import certificates

SECRET = "correct horse"


def address(**keys: object) -> BrokerAddress:
    return settings.broker_address(Config(cluster="rack", mqtt=MqttConfig.model_validate(keys)))


def written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory as systemd makes it for a unit with LoadCredential=."""
    directory = tmp_path / "credentials"
    directory.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
    return directory


def test_user_and_password_from_files(tmp_path: Path) -> None:
    user, password = written(tmp_path / "u", "agent\n"), written(tmp_path / "p", f"{SECRET}\n")
    found = address(username_file=user, password_file=password)
    assert (found.username, found.password) == ("agent", SECRET)
    assert SECRET not in f"{found} {found!r}"


def test_user_and_password_of_the_unit(unit: Path) -> None:
    written(unit / "mqtt-username", "agent")
    written(unit / "mqtt-password", SECRET)
    found = address()
    assert (found.username, found.password) == ("agent", SECRET)


def test_what_is_configured_wins_over_what_the_unit_has(unit: Path, tmp_path: Path) -> None:
    written(unit / "mqtt-username", "other")
    written(unit / "mqtt-password", "other")
    found = address(username="agent", password_file=written(tmp_path / "p", SECRET))
    assert (found.username, found.password) == ("agent", SECRET)


def test_a_unit_with_other_credentials_only(unit: Path) -> None:
    written(unit / "something-else", SECRET)
    assert address() == BrokerAddress("localhost", 1883)


def test_a_password_without_a_user(unit: Path) -> None:
    written(unit / "mqtt-password", SECRET)
    with pytest.raises(ConfigError, match="there is a password, but no username"):
        address()


def test_all_three_certificates(tmp_path: Path) -> None:
    pki = certificates(tmp_path)
    files = {
        "ca_file": pki / "terrible-ca.crt",
        "cert_file": pki / "agent.crt",
        "key_file": pki / "agent.key",
    }
    found = address(tls=True, **files)
    assert (found.ca_file, found.cert_file, found.key_file) == tuple(map(str, files.values()))


def test_a_key_in_the_file_of_its_certificate(tmp_path: Path) -> None:
    pki = certificates(tmp_path)
    both = written(tmp_path / "both.pem", (pki / "agent.crt").read_text() + (pki / "agent.key").read_text())
    assert address(tls=True, cert_file=both).cert_file == str(both)


@pytest.mark.parametrize("key", ["username_file", "password_file", "ca_file", "cert_file"])
def test_a_file_that_is_not_there(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^mqtt\.{key}: /nowhere/x: No such file or directory$"):
        address(tls=True, **{key: "/nowhere/x"})


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"ca_file": "broken"}, "mqtt.ca_file: broken: there is no PEM certificate in it"),
        ({"cert_file": "agent.crt", "key_file": "terrible-broker.key"}, "KEY_VALUES_MISMATCH"),
        ({"cert_file": "agent.crt"}, "its key, not encrypted, in the same file"),
        ({"cert_file": "agent.crt", "key_file": "locked.key"}, "its key, not encrypted, in locked.key"),
        ({"password_file": "binary"}, "mqtt.password_file: binary: not text in UTF-8"),
    ],
)
def test_a_file_of_no_use(
    keys: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(certificates(tmp_path))
    Path("broken").write_text("-----BEGIN CERTIFICATE-----\n")
    Path("binary").write_bytes(b"\xff\xfe")
    lock = ["openssl", "pkey", "-in", "agent.key", "-aes256", "-passout", "pass:x", "-out", "locked.key"]
    subprocess.run(lock, check=True)
    with pytest.raises(ConfigError) as caught:
        address(tls=True, **keys)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('username = "a"\nusername_file = "/b"', "mqtt: either username or username_file, not both"),
        (
            'ca_file = "/c"',
            "mqtt: ca_file is for tls = true; without it all goes over the net in clear",
        ),
        ('tls = true\nkey_file = "/c"', "mqtt: key_file is the key of cert_file, which is missing"),
    ],
)
def test_keys_that_contradict_each_other(toml: str, said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "terrible.toml", f"[mqtt]\n{toml}\n")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert str(caught.value) == f"{path}: {said}"
