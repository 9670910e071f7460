"""JSON Schema of everything that is said and asked over MQTT, by name. [pure]

docs/schema/ holds them as files; `python -m terrible.mqtt.schema docs/schema` writes them anew.
"""

from __future__ import annotations

import inspect
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
    made = _same_from_every_pydantic(TypeAdapter(SHAPES[name]).json_schema(mode=mode))
    if name in _VERSIONED:
        made["properties"] = {"v": {"const": 1, "type": "integer"}, **made["properties"]}
        made["required"] = ["v", *made.get("required", [])]
    return {"$schema": DIALECT, "title": name, "description": inspect.getdoc(SHAPES[name]), **made}


def _same_from_every_pydantic(part: Any) -> Any:
    """Without what only some versions say: docstrings of dataclasses, and that more fields are allowed."""
    if isinstance(part, list):
        return [_same_from_every_pydantic(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        key: _same_from_every_pydantic(value)
        for key, value in part.items()
        if not (key in ("description", "title") and isinstance(value, str))
        and (key, value) != ("additionalProperties", True)
    }


def text(name: str) -> str:
    """As it is in a file."""
    return json.dumps(schema(name), indent=2, sort_keys=True) + "\n"


def main(directory: Path) -> None:
    """Write all of them."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in SHAPES:
        (directory / f"{name}.json").write_text(text(name))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
