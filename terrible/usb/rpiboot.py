"""The rpiboot wire format, as spoken by usbboot's main.c: bytes in, values out; no USB here.

Three transfers make the whole protocol, little endian throughout: a vendor control OUT *announces* a
length in its value and index (main.c:438-450), a bulk OUT carries that many bytes, and a vendor
control IN *fetches* an answer (main.c:468-479).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum, auto

HEADER_SIZE = 24
RESULT_SIZE = 4
REQUEST_SIZE = 260
"""int32 command and char name[256] (main.c:834)."""
LARGE = 12 * 1024 * 1024
"""Old ROM and VPU loaders fail on larger files (raspberrypi/tools issue 60)."""

_DUID_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Kind(Enum):
    """What the second stage asks for. EMPTY, a request without a name, ends like DONE but is answered."""

    SIZE = auto()
    READ = auto()
    METADATA = auto()
    DONE = auto()
    EMPTY = auto()


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the second stage; `name` is a file's name or a `*KEY*VALUE` entry."""

    kind: Kind
    name: str = ""


class BadRequest(ValueError):
    """Bytes that no second stage should send. The message is safe to log."""


def announcement(length: int) -> tuple[int, int]:
    """The (value, index) pair that announces `length` bytes."""
    return length & 0xFFFF, length >> 16


def boot_header(length: int, signature: bytes = b"") -> bytes:
    """The 24 bytes before the bootcode: its length and 20 bytes of signature, zeros where unsigned.

    Raises ValueError for a signature that is longer (main.c:593-665).
    """
    if len(signature) > HEADER_SIZE - 4:
        raise ValueError(f"a bootcode signature has at most 20 bytes, this one {len(signature)}")
    return struct.pack("<i20s", length, signature)


def boot_result(answer: bytes) -> int:
    """What the ROM says of the bootcode: 0 is good. Raises BadRequest on a short answer."""
    if len(answer) < RESULT_SIZE:
        raise BadRequest(f"the ROM answered {len(answer)} bytes instead of {RESULT_SIZE}")
    return int(struct.unpack_from("<i", answer)[0])


def parse_request(data: bytes) -> Request:
    """What these bytes ask for; raises BadRequest for what no second stage sends.

    An empty name is checked first, whatever the command says (main.c:860-865).
    """
    if len(data) < REQUEST_SIZE:
        raise BadRequest(f"a request of {len(data)} bytes instead of {REQUEST_SIZE}: {escaped(data)}")
    command, field = struct.unpack_from("<i256s", data)
    raw, end, _ = field.partition(b"\0")
    if not end:
        raise BadRequest(f"a name without its end: {escaped(raw)}")
    if not raw:
        return Request(Kind.EMPTY)
    if command == 2:
        return Request(Kind.DONE)
    if not all(0x20 <= byte < 0x7F for byte in raw):
        raise BadRequest(f"a name that is not printable ASCII: {escaped(raw)}")
    if command not in (0, 1):
        raise BadRequest(f"unknown command {command} for {escaped(raw)}")
    name = raw.decode("ascii")
    if metadata_entry(name) is not None:
        return Request(Kind.METADATA, name)
    return Request(Kind.SIZE if command == 0 else Kind.READ, name)


def metadata_entry(name: str) -> tuple[str, str] | None:
    """The key and value of a `*KEY*VALUE` name (main.c:867-885), None for a file's name."""
    if not name.startswith("*"):
        return None
    key, star, value = name[1:].partition("*")
    if not star or not key:
        return None
    return key, decode_duid(value) if key == "FACTORY_UUID" else value


def decode_duid(text: str) -> str:
    """A FACTORY_UUID as readable text; what is not C40-packed is returned as it is.

    Underscore-separated hexadecimal words; each half of a word, low half first, is one more than
    three base-40 digits, of which 4-13 are 0-9 and 14-39 are A-Z (decode_duid.c).
    """
    try:
        words = [int(word, 16) for word in text.split("_")]
        halves = [half for word in words for half in (word & 0xFFFF, word >> 16) if half]
        return "".join(_DUID_ALPHABET[digit - 4] for half in halves for digit in _base40(half - 1))
    except (ValueError, IndexError):
        return text


def escaped(data: bytes | str) -> str:
    """Bytes or text from a node as printable ASCII in quotes, cut to what a log line bears."""
    raw = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    text = "".join(chr(b) if 0x20 <= b < 0x7F and b not in b"\\'" else f"\\x{b:02x}" for b in raw[:80])
    return f"'{text}'{'…' if len(raw) > 80 else ''}"


def _base40(number: int) -> tuple[int, int, int]:
    digits = (number // 1600, number // 40 % 40, number % 40)
    if any(not 4 <= digit < 40 for digit in digits):
        raise ValueError(f"{number} holds no three symbols")
    return digits
