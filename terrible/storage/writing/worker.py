"""`python -m terrible.storage.writing.worker`: writes one image onto the cards whose descriptors it has.

A process of its own: threads and hashing would disturb the agent's loop, and whatever happens to it, the
agent lives. It opens no block device; `terrible-disk` has, after its five locks. When its standard input
ends, the agent is gone, and it stops at once: no card that is not whole has a sector 0.
"""

from __future__ import annotations

import os
import sys
from threading import Thread

from terrible.storage.faults import ImageError
from terrible.storage.writing.flash import Flash
from terrible.storage.writing.job import parse


def main() -> int:
    """One job from standard input; the exit code, 0 where every card is whole."""
    try:
        job = parse(sys.stdin.readline())
    except ImageError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    Thread(target=_stop_with_stdin, name="stdin", daemon=True).start()
    return Flash(job).run()


def _stop_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
