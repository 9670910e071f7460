"""Questions that what has been told already answers: `status` and `transcript`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from terrible.model import Answer, Request
from terrible.mqtt import payloads
from terrible.mqtt.roster import Roster
from terrible.slots import UnknownSlot, expand

VERBS = ("status", "transcript")
"""The verbs that are answered here; the others are for the agent to carry out."""


def answer(request: Request, roster: Roster, session: str, refused: Mapping[str, int]) -> Answer:
    """The one answer to such a request; `refused` counts the commands that had no effect, by reason."""
    if roster.info is None:
        return Answer("error", code="busy", message="the agent has just started; ask again")
    try:
        names = expand(request.slots, roster.names)
    except UnknownSlot as error:
        return Answer("error", code="unknown_slot", message=str(error))
    if request.verb == "transcript":
        return Answer(
            "done", {"transcripts": {name: _told(roster.transcripts.get(name), session) for name in names}}
        )
    slots = {name: _told(roster.reports.get(name), session) for name in names}
    info = roster.info
    who = {"session": session, "host": info.host, "version": info.version, "started": info.started}
    return Answer("done", {**who, "refused": dict(refused), "slots": slots})


def _told(news: Any, session: str) -> dict[str, Any] | None:
    return None if news is None else payloads.as_told(news, session)
