"""What people ask for: messages of strangers in, requests or refusals out.

Only the form is judged here; whether a slot exists or is busy is the agent's to say. Nothing that
arrives can raise, and nothing is remembered of it but the last few ids.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError
from pydantic_core import from_json

from terrible import slots as patterns
from terrible.model import Request
from terrible.mqtt.topics import COMMANDS, Kind, Topics

LARGEST = 64 * 1024
"""Bytes of a command; more is refused unread."""
VERBS = frozenset({"power", "boot", "release", "probe", "transcript", "status", "flash"})
_WORDS = {b"on": "on", b"off": "off", b"cycle": "cycle"}
_REMEMBERED = 1024
_CORRELATION = 256
"""Bytes of MQTT 5's correlation data that are sent back; with more there is none."""
AHEAD = 86400.0
"""Seconds that a request from a bridge may be good for: else one could lie about and act days later."""
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_ID = StringConstraints(min_length=1, max_length=64, pattern=r"^[ -~]+$")


def _are_texts(said: Any) -> Any:
    """One complaint about a list, not one for each of its items: 25,000 held the loop up for 0.2 s."""
    if isinstance(said, list) and not all(isinstance(one, str) for one in said):
        raise ValueError("they are written as a text, or as a list of texts")
    return said


class Command(BaseModel):
    """`request/<verb>`. `slots` as people write them, or a list of such; only `status` may omit it.

    `expires` is the Unix time after which it is refused; what comes by `remote/request/<verb>` must have one.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    v: Literal[1] = 1
    id: Annotated[str, _ID]
    slots: Annotated[str | list[str], BeforeValidator(_are_texts)] = ""
    action: Literal["", "on", "off", "cycle"] = ""
    force: bool = False
    image: str = ""
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What arrived. `retained` as it was published, where the broker tells; the last two are MQTT 5's."""

    topic: str
    payload: bytes
    retained: bool = False
    reply_to: str = ""
    correlation: bytes = b""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing is done: the request as far as it was understood (`id` empty if unreadable).

    `reason` is what it is counted as.
    """

    request: Request
    code: str
    message: str
    reason: str = "malformed"


class Commands:
    """Reads what arrives on the command topics and counts in `refused` what has no effect."""

    def __init__(self, topics: Topics) -> None:
        self.refused: Counter[str] = Counter()
        self._topics = topics
        self._answered: dict[str, None] = {}

    def read(self, message: Message, now: float) -> Request | Refusal | None:
        """What a message asks for at this Unix time; None where it is to be ignored without a word."""
        parsed = self._topics.parse(message.topic)
        if parsed is None or parsed[0] not in COMMANDS:
            self.refused["stray"] += 1
            return None
        if message.retained:  # somebody's old wish, perhaps `off`: it would act at every connect
            self.refused["retained"] += 1
            return None
        kind, (name,) = parsed
        if kind is Kind.POWER_SET:
            found = _power_set(name, message.payload)
        else:
            found = _request(name, message.payload, now, remote=kind is Kind.REMOTE)
        if self._is_repeated(found):
            self.refused["repeated"] += 1
            return None
        if isinstance(found, Refusal):
            self.refused[found.reason] += 1
            return replace(found, request=self._answerable(found.request, message))
        return self._answerable(found, message)

    def _answerable(self, request: Request, message: Message) -> Request:
        """With where to answer, if that is one of our topics for answers; else as if nothing was said."""
        if request.id is None:
            return request
        reply, known = self._topics.reply(message.reply_to), message.correlation[:_CORRELATION]
        return replace(request, reply_to=reply, correlation=known if known == message.correlation else b"")

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
    if len(payload) > LARGEST:
        return Refusal(Request("power", name), "bad_request", "power/set takes one word", "oversized")
    if name == patterns.ALL:  # a topic is of one slot: rights at brokers and dashboards rely on that
        return Refusal(Request("power", name), "unknown_slot", f"there is no slot {name}")
    if action is None:
        return _bad(Request("power", name), "power/set takes one of the words on, off and cycle")
    return Request("power", name, action)


def _request(verb: str, payload: bytes, now: float, *, remote: bool) -> Request | Refusal:
    unread = Request(verb, "", id="")
    if len(payload) > LARGEST:
        return Refusal(unread, "bad_request", f"a request has at most {LARGEST} bytes", "oversized")
    try:
        asked = from_json(payload)
    except ValueError as error:
        return _bad(unread, f"not JSON: {error}")
    if isinstance(asked, dict) and len(asked) > len(Command.model_fields):  # thousands are as many faults
        return _bad(Request(verb, "", id=_id_of(asked)), "it has fields that no request has")
    try:
        command = Command.model_validate(asked)
    except ValidationError as error:
        return _bad(Request(verb, "", id=_id_of(asked)), _why(error))
    found = _understood(verb, command)
    return found if isinstance(found, Refusal) else _in_time(found, command.expires, now, remote=remote)


def _in_time(request: Request, expires: float | None, now: float, *, remote: bool) -> Request | Refusal:
    """Judged by this head's clock, which is what the sender is told where it seems to be wrong."""
    if expires is None:
        missing = "expires: what comes over a bridge needs it, Unix time in seconds"
        return _bad(request, missing) if remote else request
    if math.isnan(expires) or expires - now > AHEAD:
        far = f"expires: more than {AHEAD:.0f} s ahead of this head's clock, which says {now:.0f}"
        return _bad(request, far) if remote or math.isnan(expires) else request
    if expires < now:
        late = f"it was good until {now - expires:.0f} s ago by this head's clock, which says {now:.0f}"
        return Refusal(request, "expired", late, "expired")
    return request


def _understood(verb: str, command: Command) -> Request | Refusal:
    slots = command.slots if isinstance(command.slots, str) else ",".join(command.slots)
    if verb == "status" and not command.slots:
        slots = patterns.ALL
    request = Request(verb, slots, command.action, command.force, command.id, command.image)
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


def _image(request: Request) -> str:
    if request.verb != "flash":
        return "image: only flash has one" if request.image else ""
    named = _IMAGE.fullmatch(request.image)
    rule = "a file in the head's directory of images, by its name alone, of letters, digits and . _ + -"
    return "" if named else f"image: {rule}"


def _slots(request: Request) -> str:
    try:
        patterns.check(request.slots)
    except ValueError as error:
        return f"slots: {error}"
    return ""


_RULES: tuple[Callable[[Request], str], ...] = (_verb, _action, _image, _slots)


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
