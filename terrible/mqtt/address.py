"""Where the broker is, read from `mqtt://user:password@host:port`."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """A broker and how to enter it. `ca_file` None means the certificates that the system trusts.

    `cert_file` and `key_file` are those of a client that shows a certificate; the key may be in the first.
    """

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def __str__(self) -> str:
        """As a log may show it: without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def parse_broker_url(url: str) -> BrokerAddress:
    """Read a broker's URL; ValueError says what is wrong with it, and never repeats a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its text may quote the URL
        raise ValueError("the broker's URL has a bad host or port; one looks like mqtt://host:1883") from None
    _refuse_oddities(parts)
    return BrokerAddress(
        host=parts.hostname or "",
        port=port or _PORTS[parts.scheme],
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=parts.scheme == "mqtts",
    )


def _refuse_oddities(parts: SplitResult) -> None:
    if parts.scheme not in _PORTS:
        raise ValueError("the broker's URL begins with mqtt:// or mqtts://")
    if not parts.hostname:
        raise ValueError("the broker's URL names no host; one looks like mqtt://host:1883")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("the broker's URL ends after the port")
    if parts.password and not parts.username:
        raise ValueError("the broker's URL has a password but no user (MQTT 3.1.1, 3.1.2.9)")
