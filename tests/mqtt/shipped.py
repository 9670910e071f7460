"""Mosquitto with the files that docs/mosquitto ships; only places, ports and passwords are a test's own."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from terrible.mqtt.address import BrokerAddress

from .brokers import Mosquitto, free_port, missing

FILES = Path(__file__).parents[2] / "docs" / "mosquitto"
USERS = ("agent", "viewer", "operator", "homeassistant", "anything")
CLIENTS = ("agent", "viewer", "rack", "barn", "attic")
"""Those that enter with a certificate."""


def fill(name: str, target: Path, own: Mapping[str, str]) -> None:
    """Write a shipped file to `target` with `own` in place of what it says; each must stand in it."""
    text = (FILES / name).read_text()
    for said, mine in own.items():
        assert said in text, f"{name} does not say {said!r}"
        text = text.replace(said, mine)
    target.write_text(text)


def password(user: str) -> str:
    """Each user's own."""
    return f"secret of {user}"


@functools.cache
def _authority() -> str:
    """Certificates of an authority, a broker and some clients, made once and as the documentation says."""
    if shutil.which("openssl") is None:
        missing("openssl is not installed")
    directory = tempfile.TemporaryDirectory(prefix="terrible-pki-")
    atexit.register(directory.cleanup)
    for arguments in (["ca"], ["broker", "127.0.0.1"], *(["client", user] for user in CLIENTS)):
        command = [str(FILES / "certificates.sh"), *arguments]
        subprocess.run(command, cwd=directory.name, check=True, capture_output=True)
    return directory.name


def certificates(directory: Path) -> Path:
    """A copy of them below `directory`."""
    return Path(shutil.copytree(_authority(), directory / "pki"))


class Guarded(Mosquitto):
    """One that lets in only who is known; `port` is without TLS, `tls_port` with."""

    def __init__(self, directory: Path, acl: str = "terrible.acl") -> None:
        super().__init__(directory)
        self.tls_port = free_port()
        self.pki = certificates(directory)
        self.conf_d = directory / "conf.d"
        self.conf_d.mkdir()
        listeners = {"listener 1883": f"listener {self.port}", "listener 8883": f"listener {self.tls_port}"}
        places = {"/etc/mosquitto/certs": str(self.pki), "/etc/mosquitto": str(directory)}
        fill("terrible.conf", self.conf_d / "terrible.conf", {**listeners, **places})
        fill(acl, directory / "terrible.acl", {})
        passwords = directory / "terrible.passwd"
        passwords.write_text("".join(f"{user}:{password(user)}\n" for user in USERS))
        subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, capture_output=True)
        self.config.write_text(f"user root\npersistence false\ninclude_dir {self.conf_d}\n")

    def address(self, user: str) -> BrokerAddress:
        """How a user enters without TLS."""
        return BrokerAddress("127.0.0.1", self.port, user, password(user))

    def tls(self, user: str | None) -> BrokerAddress:
        """How one enters with a certificate, or None with none."""
        cert, key = (str(self.pki / f"{user}.{end}") for end in ("crt", "key")) if user else (None, None)
        authority = str(self.pki / "terrible-ca.crt")
        return BrokerAddress("127.0.0.1", self.tls_port, None, None, True, authority, cert, key)
