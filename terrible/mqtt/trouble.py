"""What an error that ended a connection, or kept it from opening, means; and what to do, in words."""

from __future__ import annotations

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.reasoncodes import ReasonCode

from terrible.mqtt.address import BrokerAddress

HUNG_UP = "it hung up before it answered"
UNANSWERED = "Operation timed out"
"""What aiomqtt says of a CONNECT without an answer; a TCP connect that timed out says more."""
_UNSUPPORTED = 0x84
"""Unsupported Protocol Version (MQTT 5, 3.2.2.2); paho says the same of a 3.1.1 broker's code 1."""
_TAKEN_OVER = 0x8E
"""Session taken over (MQTT 5, 3.14.2.1): another client has entered under our name."""
_CREDENTIALS = {4, 5, 0x86, 0x87, 0x8C}
"""Bad user or password, not authorised: of MQTT 3.1.1 (3.2.2.3) and of MQTT 5 (3.2.2.2)."""
_NO_TLS = ("reset by peer", "WRONG_VERSION_NUMBER", "EOF occurred")


class Unanswered(aiomqtt.MqttError):
    """No answer to CONNECT: frozen, or confused by MQTT 5, as amqtt 0.12 is by a user or a will in it."""


def is_too_old(error: BaseException | None) -> bool:
    """Whether a broker refused us because it does not speak MQTT 5."""
    return _code(error) == _UNSUPPORTED


def is_taken_over(error: BaseException | None) -> bool:
    """Whether it ended the connection because another client has entered under the same name."""
    return _code(error) == _TAKEN_OVER


def told(error: BaseException, address: BrokerAddress) -> str:
    """One line for people."""
    if isinstance(error, MqttConnectError):
        right = "; are user and password right?" if _code(error) in _CREDENTIALS else ""
        return f"the broker at {address} does not let us in: {_reason(error)}{right}"
    return f"no broker at {address}: {error}{_hint(str(error), address)}"


def _hint(said: str, address: BrokerAddress) -> str:
    """By their texts: aiomqtt passes on no more of an OSError."""
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return "; it must show a certificate for that name, signed by one of ca_file"
    if address.tls and any(sign in said for sign in _NO_TLS):
        return "; is there TLS at that port?"
    if said == HUNG_UP:
        wanted = "another certificate (cert_file)" if address.cert_file else "a certificate (cert_file)"
        return f"; does it want {wanted if address.tls else 'TLS at that port'}?"
    return ""


def _reason(error: MqttConnectError) -> str:
    """Without the number, which MQTT 3.1.1 and 5 count differently."""
    return str(error).partition("] ")[2] or str(error)


def _code(error: BaseException | None) -> int | None:
    """Of the error or, where it only says that the connection ended, of what it came from."""
    if isinstance(error, aiomqtt.MqttCodeError):
        return error.rc.value if isinstance(error.rc, ReasonCode) else error.rc
    return _code(error.__cause__) if error is not None else None
