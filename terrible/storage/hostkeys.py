"""SSH host keys by slot: made once on the head, for that slot's card and for whoever logs in from here.

They lie in the state directory, readable by the agent alone; no served file, no command line ever holds one.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from terrible import owned
from terrible.errors import HostError
from terrible.model import Slot
from terrible.storage.images.programs import last_line

NAME = "ssh_host_ed25519_key"
"""As sshd looks for it in /etc/ssh; every OpenSSH since 2014 takes this kind."""


@dataclass(frozen=True, slots=True)
class HostKey:
    """Both halves, as files of OpenSSH."""

    private: bytes
    public: bytes


def ensure(directory: Path, slot: str) -> HostKey:
    """The key of a slot, made now if there is none. HostError where it can be neither read nor made."""
    place = directory / slot
    try:
        if not (place / NAME).exists():
            _make(directory, place)
        return HostKey((place / NAME).read_bytes(), (place / f"{NAME}.pub").read_bytes())
    except OSError as error:
        raise HostError(f"host key of {slot}: {place}: {error.strerror}") from None


def _make(directory: Path, place: Path) -> None:
    """Whole or not at all: made beside its place, which a rename then gives it."""
    if not directory.exists():
        directory.mkdir(mode=0o700, parents=True)
        owned.give(directory)
    with tempfile.TemporaryDirectory(dir=directory.absolute(), prefix=".new-") as scratch:
        owned.give(Path(scratch))
        made = Path(scratch) / "key"
        made.mkdir(mode=0o700)
        owned.give(made)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", place.name, "-f", str(made / NAME)]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=30, **owned.of(made))
        except FileNotFoundError:
            raise HostError("ssh-keygen is not installed; run: sudo apt install openssh-client") from None
        except subprocess.CalledProcessError as error:
            raise HostError(f"ssh-keygen made no key for {place.name}: {last_line(error.stderr)}") from None
        except subprocess.SubprocessError as error:
            raise HostError(f"ssh-keygen made no key for {place.name}: {error}") from None
        _on_disk(made / NAME, made / f"{NAME}.pub", made)
        os.rename(made, place)
        _on_disk(directory)


def _on_disk(*paths: Path) -> None:
    """They outlast a power cut: a key that is on a card is never made anew."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def known_hosts(slots: Sequence[Slot], directory: Path, domain: str) -> Iterator[str]:
    """A line of ~/.ssh/known_hosts for each slot that has a key (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).

    HostError where they may not be read.
    """
    for slot in slots:
        try:
            kind, key, *_ = (directory / slot.name / f"{NAME}.pub").read_text().split()
        except FileNotFoundError:
            continue
        except OSError as error:
            why = f"{error.filename}: {error.strerror}; ask as root or as the agent's user"
            raise HostError(why) from None
        names = [slot.name, *([f"{slot.name}.{domain}"] if domain else []), slot.address]
        yield f"{','.join(name for name in names if name)} {kind} {key}"
