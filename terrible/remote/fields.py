"""What a field of a message may hold: what comes from strangers neither moves a cursor nor breaks a clock."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field


def printable(text: str) -> str:
    """Nothing that moves a terminal's cursor: some of what an agent tells, nodes and strangers have said."""
    return text if text.isprintable() else "".join(one if one.isprintable() else "\ufffd" for one in text)


Said = Annotated[str, AfterValidator(printable)]
Moment = Annotated[float, Field(ge=0, le=253402300799, allow_inf_nan=False)]
"""Unix time that a calendar has a date for."""
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Bytes = Annotated[int, Field(ge=0, le=2**63)]
Rate = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
"""Bytes a second."""
