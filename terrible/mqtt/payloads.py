"""What is published: news of the agent as topics and JSON.

`node/<name>/boot` is the model's own Transcript with a `v`; all else has its shape in mqtt.shapes.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, is_dataclass
from typing import Any, Literal

from terrible.errors import Code
from terrible.model import Answer, Event, Info, Phase, Progress, Report, Request, Transcript
from terrible.mqtt.shapes import (
    VERSION,
    Advance,
    Error,
    Happening,
    Introduction,
    PortState,
    Response,
    Seat,
    State,
    Summary,
)
from terrible.mqtt.topics import Kind, Topics
from terrible.seams import News

PROGRESS_LIVES = 10
"""Seconds; later a slow reader's bar is better moved by the next."""

_BOOTING = frozenset({Phase.ROM, Phase.LOADING, Phase.STARTING})
_FAILED = frozenset({Phase.FAILED, Phase.QUARANTINED})


@dataclass(frozen=True, slots=True)
class Publication:
    """One message. Those with QoS 1 that are not retained are told each; of others the latest counts.

    By MQTT 5 it carries `correlation`, and is worth nothing after it has lived for `lives` seconds.
    """

    topic: str
    payload: bytes
    qos: Literal[0, 1] = 1
    retain: bool = True
    correlation: bytes = b""
    lives: int | None = None

    @property
    def queued(self) -> bool:
        """Whether a later one on the same topic leaves this one as important as before."""
        return self.qos > 0 and not self.retain


def publications(news: News, topics: Topics, session: str, now: float) -> tuple[Publication, ...]:
    """What a piece of news puts on the broker; `now` is Unix time."""
    match news:
        case Report(slot=slot):
            up = b"online" if news.phase is Phase.UP else b"offline"
            return (
                Publication(topics.of(Kind.STATE, slot.name), _json(_state(news, session))),
                Publication(topics.of(Kind.UP, slot.name), up),
                Publication(
                    topics.of(Kind.PORT, slot.location.hub, str(slot.location.port)), _json(_port(news))
                ),
            )
        case Progress(slot=slot):
            fields = _fields(news)
            del fields["slot"]
            advance = Advance(**fields)
            topic = topics.of(Kind.PROGRESS, slot.name)
            return (Publication(topic, _json(advance), qos=0, retain=False, lives=PROGRESS_LIVES),)
        case Event(slot=slot, kind=kind, message=message, data=data):
            happening = Happening(event_type=kind, ts=round(now, 3), message=message, data=data)
            return (Publication(topics.of(Kind.EVENT, slot.name), _json(happening), retain=False),)
        case Transcript(slot=name):
            return (Publication(topics.of(Kind.BOOT, name), _json(news)),)
        case Info():
            return (Publication(topics.of(Kind.INFO), _json(_introduction(news))),)


def as_told(news: Report | Transcript, session: str) -> bytes:
    """What is published of it."""
    return _json(_state(news, session) if isinstance(news, Report) else news)


def summary(total: int, reports: Collection[Report], topics: Topics) -> Publication:
    """The cluster in one glance, from the latest report of each slot."""
    phases = [report.phase for report in reports]
    shape = Summary(
        total=total,
        up=phases.count(Phase.UP),
        booting=sum(phase in _BOOTING for phase in phases),
        failed=sum(phase in _FAILED for phase in phases),
        updated=round(max((report.since for report in reports), default=0.0), 3),
        undervoltage=any(r.problem and r.problem.code is Code.UNDERVOLTAGE for r in reports),
    )
    return Publication(topics.of(Kind.SUMMARY), _json(shape))


def response(request: Request, answer: Answer, topics: Topics) -> Publication:
    """An answer to a request that was made in JSON."""
    failed = answer.status == "error"
    shape = Response(
        id=request.id or None,
        ok=not failed,
        status=answer.status,
        data=answer.data,
        error=Error(answer.code, answer.message) if failed else None,
    )
    topic = request.reply_to or topics.of(Kind.RESPONSE, request.verb)
    return Publication(topic, _json(shape), retain=False, correlation=request.correlation)


def status(online: bool, topics: Topics) -> Publication:
    """Whether the agent is there; `offline` is also its last will."""
    return Publication(topics.of(Kind.STATUS), b"online" if online else b"offline")


def _state(report: Report, session: str) -> State:
    return State(
        phase=report.phase,
        problem=report.problem,
        wish="on" if report.wish else "off",
        since=round(report.since, 3),
        location=report.slot.location,
        power=report.power,
        addresses=report.addresses,
        attempt=report.attempt,
        session=session,
    )


def _introduction(info: Info) -> Introduction:
    shown = Seat.__dataclass_fields__
    seats = tuple(
        Seat(**{name: value for name, value in _fields(slot).items() if name in shown}) for slot in info.slots
    )
    return Introduction(**{**_fields(info), "slots": seats})


def _port(report: Report) -> PortState:
    return PortState(location=report.slot.location, slot=report.slot.name, power=report.power)


def _json(
    shape: State | PortState | Summary | Happening | Advance | Response | Introduction | Transcript,
) -> bytes:
    text = json.dumps({"v": VERSION, **_fields(shape)}, separators=(",", ":"), default=_plain)
    return text.encode()


def _fields(shape: Any) -> dict[str, Any]:
    """What dataclasses.asdict gives, without its deep copies: they cost more than all the rest."""
    return {name: getattr(shape, name) for name in shape.__dataclass_fields__}


def _plain(value: Any) -> object:
    """What an event or an answer holds comes from far: text is better than no message."""
    return _fields(value) if is_dataclass(value) else str(value)
