"""What goes wrong: the codes and sentences that are published, and the two kinds of error.

A `BootError` is theirs, and its slot retries; a `HostError` is ours, and ends what was asked for. Adapters
translate into these at the seams.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Stable codes of what is wrong with a slot."""

    BOOT_FAILED = "boot_failed"
    MISSING_FILE = "missing_file"
    BAD_TEMPLATE = "bad_template"
    POWER_UNSUPPORTED = "power_unsupported"
    POWER_PROTECTED = "power_protected"
    POWER_SHARED = "power_shared"
    CYCLES_SPENT = "cycles_spent"
    UNREACHABLE = "unreachable"
    OVERCURRENT = "overcurrent"
    UNDERVOLTAGE = "undervoltage"
    CONFLICT = "conflict"
    NETWORK = "network"
    DIRTY_CARD = "dirty_card"
    NOT_FLASHED = "not_flashed"
    STATE_FILE = "state_file"
    AGENT_ERROR = "agent_error"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a slot is not as wished: a stable code and one sentence for people."""

    code: Code
    message: str


class BootError(Exception):
    """Theirs: this node did not do its part. The slot retries; the agent goes on."""

    def __init__(self, diagnosis: str, code: Code = Code.BOOT_FAILED) -> None:
        super().__init__(diagnosis)
        self.problem = Problem(code, diagnosis)


class DeviceLeft(BootError):
    """The device left the bus in the middle of something: neither success nor failure."""


class Silent(BootError):
    """The node did not answer a read within its limit. The read is lost: never issue it again."""


class PowerError(BootError):
    """The port's power could not be switched, or did not really change."""

    def __init__(self, diagnosis: str, code: Code = Code.POWER_UNSUPPORTED) -> None:
        super().__init__(diagnosis, code)


class DiskError(BootError):
    """The card of a slot cannot be opened: a lock does not hold, or the helper cannot."""


class HostError(Exception):
    """Ours: this machine lacks something. The message says what, where, and what to do."""

    exit_code = 1


class UsageError(HostError):
    """The command line makes no sense; 2 is what every command exits with then."""

    exit_code = 2
