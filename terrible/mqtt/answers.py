"""Questions that what has been told already answers: `status` and `transcript`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from terrible.model import Answer, Report, Request, Transcript
from terrible.mqtt import payloads
from terrible.mqtt.roster import Roster
from terrible.slots import UnknownSlot, expand

VERBS = ("status", "transcript")
"""The verbs that are answered here; the others are for the agent to carry out."""


LARGEST = 240 * 1024
"""Bytes of what is told of slots in one answer: brokers drop what is larger than they like, or hang up
on it, again after each connect. Mosquitto as we ship it takes 256 KiB."""


class TooMuch(ValueError):
    """For one answer; the message says what to do."""


def answer(request: Request, roster: Roster, session: str, refused: Mapping[str, int]) -> Answer:
    """The one answer to such a request; `refused` counts the commands that had no effect, by reason."""
    if roster.info is None:
        return Answer("error", code="busy", message="the agent has just started; ask again")
    try:
        names = expand(request.slots, roster.names)
        if request.verb == "transcript":
            return Answer("done", {"transcripts": _told(roster.transcripts, names, session)})
        slots = _told(roster.reports, names, session)
    except UnknownSlot as error:
        return Answer("error", code="unknown_slot", message=str(error))
    except TooMuch as error:
        return Answer("error", code="bad_request", message=str(error))
    info = roster.info
    who = {"session": session, "host": info.host, "version": info.version, "started": info.started}
    return Answer("done", {**who, "refused": dict(refused), "slots": slots})


def _told(
    news: Mapping[str, Report] | Mapping[str, Transcript], names: Sequence[str], session: str
) -> dict[str, Any]:
    """What was published of each, None where nothing was; TooMuch as soon as that is more than LARGEST."""
    told, size = dict[str, Any](), 0
    for name in names:
        payload = payloads.as_told(news[name], session) if name in news else b"null"
        size += len(payload)
        if size > LARGEST:
            raise TooMuch(f"what was told of all these is more than {LARGEST} bytes; ask for fewer slots")
        told[name] = json.loads(payload)
    return told
