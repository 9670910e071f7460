"""JSON Schema of everything that is said and asked over MQTT, by name. [pure]

docs/schema/ holds them as files; `python -m terrible.mqtt.schema docs/schema` writes them anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from terrible.model import Transcript
from terrible.mqtt.commands import Command
from terrible.mqtt.shapes import Advance, Happening, Introduction, PortState, Response, State, Summary

DIALECT = GenerateJsonSchema.schema_dialect
SHAPES: dict[str, type[Any]] = {
    "info": Introduction,
    "summary": Summary,
    "state": State,
    "boot": Transcript,
    "port": PortState,
    "event": Happening,
    "progress": Advance,
    "request": Command,
    "response": Response,
}
"""What each name stands for; `status`, `node/<name>/status` and `power/set` are plain words."""
_VERSIONED = {"boot"}
"""The model's own, which gets its `v` when it is published."""


def schema(name: str) -> dict[str, Any]:
    """The schema of one of SHAPES. What is published may have more fields than a reader knows."""
    mode: Any = "validation" if name == "request" else "serialization"
    made = TypeAdapter(SHAPES[name]).json_schema(mode=mode)
    if name in _VERSIONED:
        made["properties"] = {"v": {"const": 1, "title": "V", "type": "integer"}, **made["properties"]}
        made["required"] = ["v", *made.get("required", [])]
    return {"$schema": DIALECT, **made}


def text(name: str) -> str:
    """As it is in a file, the same from every pydantic."""
    return json.dumps(schema(name), indent=2, sort_keys=True) + "\n"


def main(directory: Path) -> None:
    """Write all of them."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in SHAPES:
        (directory / f"{name}.json").write_text(text(name))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
