"""Boot files that differ from slot to slot in a few values: `cmdline.txt.template` and the like.

They are string.Template text: `${name}` is a value, `$$` is a dollar sign, anything else with a dollar
sign is a mistake, which is told before a node boots with half a command line.
"""

from __future__ import annotations

import os
import string
from collections.abc import Iterator
from pathlib import Path

from terrible.errors import BootError, Code
from terrible.model import Slot

SUFFIX = ".template"
VARIABLES = (
    "name",
    "number",
    "location",
    "mac",
    "host_mac",
    "address",
    "cluster",
    "profile",
    "gadget",
    "first_boot",
)
_LARGEST = 64 * 1024
"""Templates are rendered on the loop and are lines of text; a larger one is a mistake."""


def render(content: bytes | bytearray, slot: Slot, cluster: str, where: str) -> bytes:
    """The template with the slot's values; BootError (BAD_TEMPLATE) says what is wrong in `where`."""
    problems = check_content(content)
    if problems:
        raise BootError(f"{where}: {'; '.join(problems)}", Code.BAD_TEMPLATE)
    values = {key: getattr(slot, key) for key in VARIABLES if key != "cluster"}
    return string.Template(content.decode()).substitute(values, cluster=cluster).encode()


def check_template(text: str) -> list[str]:
    """What is wrong with a template, a sentence for each place; empty if nothing."""
    return [
        f"line {text.count(chr(10), 0, match.start()) + 1}: {problem}"
        for match in string.Template.pattern.finditer(text)
        if (problem := _problem(match["named"] or match["braced"], invalid=match["invalid"] is not None))
    ]


def check_content(content: bytes | bytearray) -> list[str]:
    """As `check_template`, of bytes that may be no text at all."""
    if len(content) > _LARGEST:
        return [f"a template has at most {_LARGEST} bytes, this one has {len(content)}"]
    try:
        return check_template(content.decode())
    except UnicodeDecodeError as error:
        return [f"not UTF-8 text: byte {error.start} is 0x{content[error.start]:02x}"]


def templates_below(*directories: Path) -> Iterator[Path]:
    """Every template file below these directories, each once; a directory right below may be a link."""
    seen: set[tuple[int, int]] = set()
    for directory in directories:
        for top in (directory, *_linked(directory)):
            yield from _unseen(_walk(top), seen)


def _linked(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.is_symlink() and path.is_dir())
    except OSError:
        return []


def _walk(top: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(top):
        folders.sort()
        yield from (Path(folder, file) for file in sorted(files) if file.endswith(SUFFIX))


def _unseen(paths: Iterator[Path], seen: set[tuple[int, int]]) -> Iterator[Path]:
    for path in paths:
        if path.is_file() and (key := (path.stat().st_dev, path.stat().st_ino)) not in seen:
            seen.add(key)
            yield path


def _problem(variable: str | None, *, invalid: bool) -> str:
    if invalid:
        return "a dollar sign that begins no variable; write $$ for a plain one"
    if variable is None or variable in VARIABLES:
        return ""
    return f"unknown variable ${{{variable}}}; known are {', '.join(VARIABLES)}"
