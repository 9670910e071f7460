"""What went wrong, in words that a person can act on. [pure]"""

from __future__ import annotations

from fnmatch import fnmatchcase

from terrible.model import FileRecord, Stage, Transcript
from terrible.usb.identify import BOOTCODE

REQUIRED = ("start*.elf", "kernel*.img", "*.dtb")
"""A boot needs one file of each of these patterns; everything else it asks for is optional."""


def never_came_back(stage: Stage, limit: float, transcript: Transcript) -> str:
    """The device left after this stage, or stayed, and no next one showed up in time."""
    if stage is Stage.ROM:
        return f"bootcode sent, never came back in {limit:g} s"
    return f"no gadget {limit:g} s after {_last(transcript)}{_misses(transcript)}"


def silent(limit: float, transcript: Transcript) -> str:
    """The second stage did not ask for anything within its limit."""
    if not _asked(transcript):
        return f"the second stage asked for nothing in {limit:g} s"
    return f"stalled after {_last(transcript)}: no request for {limit:g} s{_misses(transcript)}"


def keeps_restarting(transcript: Transcript) -> str:
    """The ROM came back more often than a person could have replugged the node."""
    return f"started over {transcript.restarts} times, the last time after {_last(transcript)}"


def unreachable(limit: float) -> str:
    """The gadget is there, the node behind it does not answer."""
    return f"the network gadget is there, but the node has not answered for {limit:g} s"


def of_card(image: str, other: str, *, card_first: bool) -> str:
    """Why a node will not boot as it should with this image on its card; "" where nothing speaks against it.

    `other` is the image that the slot's boot files are of, `card_first` that its ROM would find bootcode.bin.
    """
    why = []
    if card_first:
        why.append(f"a Pi Zero or 3 starts from this card, not from the head: terrible image prepare {image}")
    if other:
        why.append(f"the slot's boot files are of {other}: terrible image boot {image}")
    return "; ".join(why)


def _asked(transcript: Transcript) -> list[FileRecord]:
    """What the second stage asked for; bootcode is given to the ROM unasked."""
    return [file for file in transcript.files if file.name not in BOOTCODE.values()]


def _last(transcript: Transcript) -> str:
    served = [file.name for file in _asked(transcript) if file.layer is not None]
    return served[-1] if served else "the bootcode"


def _misses(transcript: Transcript) -> str:
    """The required files that were asked for and that no layer had, and where they were looked for."""
    return "".join(_unmet(pattern, transcript.files) for pattern in REQUIRED)


def _unmet(pattern: str, files: list[FileRecord]) -> str:
    asked = [file for file in files if fnmatchcase(file.name, pattern)]
    if not asked or any(file.layer is not None for file in asked):
        return ""
    names = ", ".join(dict.fromkeys(file.name for file in asked))
    return f"; asked for {names}, no layer has it (looked in {', '.join(asked[0].looked_in)})"
