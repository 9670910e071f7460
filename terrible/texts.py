"""Texts that a configuration may hold: people are told in words what fits, not by a regular expression."""

from __future__ import annotations

import re

from pydantic import AfterValidator


def fitting(pattern: str, said: str) -> AfterValidator:
    """For texts that match all of `pattern`; ValueError with what is `said` for any other."""

    def checked(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(said)
        return text

    return AfterValidator(checked)
