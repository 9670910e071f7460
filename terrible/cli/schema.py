"""`terrible schema`: what is said over MQTT as JSON Schema."""

from __future__ import annotations

from terrible.cli.loop import complain
from terrible.errors import UsageError
from terrible.mqtt.schema import SHAPES, text


def main(name: str | None) -> int:
    """Print the schema of that name, or the names there are."""
    if name is None:
        print("\n".join(SHAPES))
        return 0
    if name not in SHAPES:
        return complain(UsageError(f"there is no schema {name!r}; there are {', '.join(SHAPES)}"))
    print(text(name), end="")
    return 0
