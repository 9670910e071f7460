"""A prepared image, to look into with other programs than those that have made it."""

from __future__ import annotations

from pathlib import Path

from terrible.storage.images import image as images
from terrible.storage.images.owner import Owner
from tests.storage.images import sh

OWNER = Owner(
    "alice", ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 alice@desk", "ssh-rsa AAAAB3 alice@lap"), "en_GB.UTF-8"
)


def quiet(_step: str) -> None:
    """Progress is for people."""


class Made:
    """A prepared image to look into."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with images.opened(path, path.parent, whole=False) as image:
            volume = image.boot_volume()
            self.boot = {
                file.path: b"".join(volume.content(file)) for file in volume.walk() if not file.is_directory
            }
            self.fat_at, self.fat_size = image.table.boot.start, image.table.boot.size
            root = image.table.root
            assert root is not None
            self.root_at = root.start

    def debugfs(self, command: str) -> str:
        return sh("debugfs", "-R", command, f"{self.path}?offset={self.root_at}").decode()

    def root(self, path: str) -> bytes:
        return sh("debugfs", "-R", f"cat {path}", f"{self.path}?offset={self.root_at}")

    def mode(self, path: str) -> str:
        words = self.debugfs(f"stat {path}").split()
        mode, user, group = (words[words.index(f"{name}:") + 1] for name in ("Mode", "User", "Group"))
        return f"{mode} {user}:{group}"
