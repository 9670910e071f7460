"""A boot tree: a directory of boot files that were taken out of one image, and the record of which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORD = ".terrible-image.json"
"""In the tree's directory. No node is ever served a name that begins with a dot."""


def image_of(directory: Path) -> dict[str, Any] | None:
    """What is recorded of the image: `image` (its name), `sha256`, …; None where that is no boot tree."""
    try:
        record = json.loads((directory / RECORD).read_text())
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
