"""`terrible image`: what an image is, its boot partition as boot files, a node's image from a stock one.

It needs no agent, no USB and no root. The options and their help are in `imageapp`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from terrible.cli.loop import complain
from terrible.errors import HostError
from terrible.storage.images import image as images
from terrible.storage.images.bootdir import make
from terrible.storage.images.facts import Facts, facts_of
from terrible.storage.images.owner import Init, Owner, check_owner, read_keys
from terrible.storage.images.prepare import prepare as prepared

_SPILL = Path("/var/tmp")
"""Files for a short time that are too large for memory, which /tmp may be."""
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Asked:
    """What a node's image shall have; `init` None: found out."""

    user: str
    key_files: list[Path]
    locale: str | None
    init: Init | None


def inspect(path: Path, *, as_json: bool) -> int:
    """Print what there is to know of an image."""

    def work() -> None:
        with images.opened(path, _SPILL, whole=False) as image:
            facts = facts_of(image)
            shown = json.dumps(_plain(image, facts), indent=2) if as_json else _told(image, facts)
        print(shown, flush=True)

    return _guarded(work)


def boot(path: Path, directory: Path) -> int:
    """Write the boot partition of an image to a new directory."""

    def work() -> None:
        record = make(path, directory)
        print(f"{directory}: the boot files of {record['image']}, sha256 {record['sha256']}")

    return _guarded(work)


def prepare(path: Path, out: Path, asked: Asked) -> int:
    """Make a node's image from a stock one."""

    def work() -> None:
        keys = [key for file in asked.key_files for key in _keys(file)]
        owner = Owner(asked.user, tuple(dict.fromkeys(keys)), asked.locale)
        check_owner(owner)
        mark = prepared(path, out, owner, asked.init, _say)
        held = ", ".join(mark["held"]) or "nothing"
        print(f"{out}: a node's image; {owner.user} may log in; packages on hold: {held}")

    return _guarded(work)


def _say(step: str) -> None:
    print(f"{step} …", file=sys.stderr, flush=True)


def _keys(file: Path) -> list[str]:
    try:
        return read_keys(file.read_text(errors="replace"), str(file))
    except FileNotFoundError as error:
        raise HostError(f"{file}: {error.strerror}; ssh-keygen -t ed25519 makes a pair of keys") from None
    except OSError as error:
        raise HostError(f"{file}: {error.strerror}") from None


def _guarded(work: Callable[[], None]) -> int:
    """Run it; an error is one line, and whoever ends it finds nothing half done."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        work()
    except HostError as error:
        return complain(error)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # of what is printed: the commands know their files
        return complain(HostError(f"{error.filename or 'output'}: {error.strerror}"))
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _plain(image: images.Image, facts: Facts) -> dict[str, Any]:
    """All of it as plain JSON values."""
    partitions = [
        {"number": part.number, "type": part.label, "start": part.start, "size": part.size}
        for part in image.table.partitions
    ]
    return {
        "v": 1,
        "image": str(image.path),
        "packed": image.packed,
        "size": image.size,
        "disk_id": image.table.disk_id,
        "partitions": partitions,
        "boot_file_system": facts.volume,
        "os": facts.os or None,
        "why_no_os": facts.why_no_os or None,
        "issue": facts.issue or None,
        "kernel_modules": facts.modules,
        "files": [asdict(version) for version in facts.versions],
        "boots": facts.boots,
        "lacks": facts.lacks,
        "boots_from_card_first": facts.card_first,
        "init": facts.init,
        "root": facts.cmdline.root,
        "first_boot": list(facts.cmdline.first_boot),
        "prepared": facts.mark,
    }


def _told(image: images.Image, facts: Facts) -> str:
    """All of it for people, a line for each thing."""
    lines = [("image", f"{image.path}{', packed' if image.packed else ''}")]
    lines += [
        (f"partition {part.number}", f"{part.label}, {part.size >> 20} MiB at {part.start >> 20} MiB")
        for part in image.table.partitions
    ]
    lines += [
        ("system", facts.os or f"unknown: {facts.why_no_os}"),
        ("build", facts.issue or "unknown: it has no issue.txt"),
        ("modules for", ", ".join(facts.modules) or "unknown"),
        *(
            (version.name, f"{version.version or 'no version'}, {version.sha256}")
            for version in facts.versions
        ),
        ("boots", ", ".join(facts.boots) or "no Pi"),
        *((f"not {model}", f"lacks {', '.join(missing)}") for model, missing in facts.lacks.items()),
        ("starts from", _starts(facts)),
        ("first boot", _first(facts)),
    ]
    if facts.mark is not None:
        lines.append(("prepared", f"by terrible, for {facts.mark.get('user')}"))
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:{width}}  {_printable(text)}" for name, text in lines)


def _starts(facts: Facts) -> str:
    if facts.card_first:
        return "its card, before USB: it has bootcode.bin (a Pi 4 or 5 asks its EEPROM)"
    return "USB: it has no bootcode.bin (a Pi 4 or 5 asks its EEPROM)"


def _first(facts: Facts) -> str:
    words = " ".join(facts.cmdline.first_boot)
    return f"{facts.init or 'unknown format'}{f', by the words {words}' if words else ''}"


def _printable(text: str) -> str:
    """Without what could move a cursor: it was written by whoever made the image."""
    return "".join(character if character.isprintable() else "?" for character in text)
