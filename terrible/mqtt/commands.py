"""What people ask for: messages of strangers in, requests or refusals out.

Only the form is judged here; whether a slot exists or is busy is the agent's to say. Nothing that
arrives can raise, and nothing is remembered of it but the last few ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic_core import from_json

from terrible import slots as patterns
from terrible.model import Request
from terrible.mqtt.topics import COMMANDS, Kind, Topics

LARGEST = 64 * 1024
"""Bytes of a command; more is refused unread."""
VERBS = frozenset({"power", "boot", "release", "probe", "transcript", "status", "flash"})
_WORDS = {b"on": "on", b"off": "off", b"cycle": "cycle"}
_REMEMBERED = 1024
_ID = StringConstraints(min_length=1, max_length=64, pattern=r"^[ -~]+$")


class Command(BaseModel):
    """`request/<verb>`. `slots` as people write them, or a list of such; only `status` may omit it."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    v: Literal[1] = 1
    id: Annotated[str, _ID]
    slots: str | list[str] = ""
    action: Literal["", "on", "off", "cycle"] = ""
    force: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing is done: the request as far as it was understood (`id` empty if unreadable)."""

    request: Request
    code: str
    message: str


class Commands:
    """Reads what arrives on the command topics and counts in `refused` what has no effect."""

    def __init__(self, topics: Topics) -> None:
        self.refused: Counter[str] = Counter()
        self._topics = topics
        self._answered: dict[str, None] = {}

    def read(self, topic: str, payload: bytes, retained: bool) -> Request | Refusal | None:
        """What a message asks for; None where it is to be ignored without a word."""
        parsed = self._topics.parse(topic)
        if parsed is None or parsed[0] not in COMMANDS:
            return self._count("stray", None)
        if retained:  # somebody's old wish, perhaps `off`: it would act at every connect
            return self._count("retained", None)
        kind, (name,) = parsed
        found = _power_set(name, payload) if kind is Kind.POWER_SET else _request(name, payload)
        if self._is_repeated(found):
            return self._count("repeated", None)
        if isinstance(found, Refusal):
            return self._count("oversized" if len(payload) > LARGEST else "malformed", found)
        return found

    def _count(self, reason: str, refusal: Refusal | None) -> Refusal | None:
        self.refused[reason] += 1
        return refusal

    def _is_repeated(self, found: Request | Refusal) -> bool:
        request = found.request if isinstance(found, Refusal) else found
        if not request.id:
            return False
        if request.id in self._answered:
            return True
        self._answered[request.id] = None
        if len(self._answered) > _REMEMBERED:
            del self._answered[next(iter(self._answered))]
        return False


def _power_set(name: str, payload: bytes) -> Request | Refusal:
    action = _WORDS.get(payload)
    if action is None:
        return _bad(Request("power", name), "power/set takes one of the words on, off and cycle")
    return Request("power", name, action)


def _request(verb: str, payload: bytes) -> Request | Refusal:
    unread = Request(verb, "", id="")
    if len(payload) > LARGEST:
        return _bad(unread, f"a request has at most {LARGEST} bytes")
    try:
        asked = from_json(payload)
    except ValueError as error:
        return _bad(unread, f"not JSON: {error}")
    try:
        command = Command.model_validate(asked)
    except ValidationError as error:
        return _bad(Request(verb, "", id=_id_of(asked)), _why(error))
    return _understood(verb, command)


def _understood(verb: str, command: Command) -> Request | Refusal:
    slots = command.slots if isinstance(command.slots, str) else ",".join(command.slots)
    if verb == "status" and not command.slots:
        slots = patterns.ALL
    request = Request(verb, slots, command.action, command.force, command.id)
    for rule in _RULES:
        if wrong := rule(request):
            return _bad(request, wrong)
    return request


def _verb(request: Request) -> str:
    return "" if request.verb in VERBS else f"unknown verb; there are {', '.join(sorted(VERBS))}"


def _action(request: Request) -> str:
    if (request.verb == "power") == bool(request.action):
        return ""
    return "action: power needs on, off or cycle" if not request.action else "action: only power has one"


def _slots(request: Request) -> str:
    try:
        patterns.check(request.slots)
    except ValueError as error:
        return f"slots: {error}"
    return ""


_RULES: tuple[Callable[[Request], str], ...] = (_verb, _action, _slots)


def _bad(request: Request, message: str) -> Refusal:
    return Refusal(request, "bad_request", message[:300])


def _id_of(asked: Any) -> str:
    """The id of a request that is wrong elsewhere, so that whoever sent it learns of it."""
    try:
        return Command.model_validate({"id": asked.get("id")}).id
    except (AttributeError, ValidationError):
        return ""


def _why(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return ": ".join([*(str(part) for part in first["loc"][:1]), first["msg"]])[:300]
