"""Where every `terrible` process starts.

`run`, `serve` and the helpers are dispatched before anything of the command line is imported: the agent
of a Pi Zero has no memory to spare for a table renderer.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the process's exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    match arguments[:1]:
        case ["run"]:
            from terrible.cli import run

            return run.main(arguments[1:])
        case ["serve"]:
            from terrible.cli import serve

            return serve.main(arguments[1:])
        case ["port-helper"]:
            from terrible.power import helper

            return helper.main(arguments[1:])
        case ["net-helper"]:
            from terrible.cli import nethelper

            return nethelper.main(arguments[1:])
        case ["disk-helper"]:
            from terrible.storage import helper as disk_helper

            return disk_helper.main(arguments[1:])
        case _:
            from terrible.cli import app

            return app.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
