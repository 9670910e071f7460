"""What it takes to enter the broker, from files and from systemd; never from a command line.

Read once, at the start, so that what is missing is said then and in one line.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from terrible.config import MqttConfig
from terrible.configfile import ConfigError

USERNAME, PASSWORD = "mqtt-username", "mqtt-password"
"""Credentials of the unit (systemd.exec(5), LoadCredential=), used where the configuration names no file."""


def user(mqtt: MqttConfig) -> tuple[str | None, str | None]:
    """The user's name and password, each if there is one. Raises ConfigError."""
    username, password = mqtt.username, None
    if mqtt.username_file is not None:
        username = _text("mqtt.username_file", mqtt.username_file)
    elif username is None and (given := _credential(USERNAME)):
        username = _text(f"credential {USERNAME}", given)
    if mqtt.password_file is not None:
        password = _text("mqtt.password_file", mqtt.password_file)
    elif given := _credential(PASSWORD):
        password = _text(f"credential {PASSWORD}", given)
    if password and not username:
        raise ConfigError("mqtt: there is a password, but no username")  # MQTT 3.1.1, 3.1.2.9
    return username, password


def certificates(mqtt: MqttConfig) -> tuple[str | None, str | None, str | None]:
    """The files of the CA, of our certificate and of its key, of use as they are now. Raises ConfigError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    files = (mqtt.ca_file, mqtt.cert_file, mqtt.key_file)
    for key, file in zip(("ca_file", "cert_file", "key_file"), files, strict=True):
        if file is not None:
            _bytes(f"mqtt.{key}", file)  # ssl would not say which it cannot read
    ca_file, cert_file, key_file = files
    try:
        if ca_file is not None:
            context.load_verify_locations(ca_file)
    except ssl.SSLError:
        raise ConfigError(f"mqtt.ca_file: {ca_file}: there is no PEM certificate in it") from None
    try:
        if cert_file is not None:
            # Without a password OpenSSL would ask the terminal for that of an encrypted key.
            context.load_cert_chain(cert_file, key_file, password="")
    except ssl.SSLError as error:
        raise ConfigError(
            f"mqtt.cert_file: {cert_file}: of no use ({error.reason or error}); it takes a PEM certificate "
            f"and its key, not encrypted, in {key_file or 'the same file'}"
        ) from None
    ca, cert, own = (str(file) if file is not None else None for file in files)
    return ca, cert, own


def _credential(name: str) -> Path | None:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    file = Path(directory, name) if directory else None
    return file if file is not None and file.exists() else None


def _text(what: str, file: Path) -> str:
    try:
        return _bytes(what, file).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigError(f"{what}: {file}: not text in UTF-8") from None


def _bytes(what: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{what}: {file}: {error.strerror}") from None
