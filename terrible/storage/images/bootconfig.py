"""`cmdline.txt` and `config.txt` of an image, and what they become for nodes that boot over USB.

A node of the head never sees the `cmdline.txt` of its card. What docs/first-cluster.md once told people to do
by hand is done here: the template with the gadget, the host name and the root on the card, and `dwc2`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from terrible.storage.images.partitions import BadImage

GADGET_WORDS = (
    "modules-load=dwc2,${gadget} ${gadget}.dev_addr=${mac} ${gadget}.host_addr=${host_mac}"
    " systemd.hostname=${name}"
)
_FIRST_BOOT = re.compile(
    r"resize|firstboot|init=/usr/lib/raspberrypi-sys-mods/firstboot|init=/usr/lib/raspi-config/init_resize\.sh"
    r"|systemd\.run(_(success|failure)_action)?=.*|systemd\.unit=kernel-command-line\.target"
)
"""Bookworm's pi-gen has init=…/firstboot, Trixie's resize; rpi-imager adds systemd.run=…/firstrun.sh."""
_LONGEST = 2048
"""Characters (COMMAND_LINE_SIZE of arm64; 1024 of arm)."""
_OURS = re.compile(r"modules-load=.*|g_[a-z]+\..*|systemd\.hostname=.*")
_SECTION = re.compile(r"\[([^]]*)\]")
_OVERLAY = re.compile(r"dtoverlay\s*=\s*dwc2\s*(,\s*dr_mode\s*=\s*(peripheral|otg)\s*)?")


@dataclass(frozen=True, slots=True)
class Cmdline:
    """The words of an image's command line: those for its first boot only, and the others."""

    words: tuple[str, ...]
    first_boot: tuple[str, ...]

    @property
    def root(self) -> str | None:
        """What names the root partition: `PARTUUID=8a3b5c7d-02`."""
        return next((word[5:] for word in self.words if word.startswith("root=")), None)


def read_cmdline(text: str) -> Cmdline:
    """The words in `cmdline.txt`; only its first line counts. BadImage where that can be none."""
    line = (text.strip().splitlines() or [""])[0]
    if len(line) > _LONGEST:
        raise BadImage(f"its cmdline.txt has a line of {len(line)} characters; Linux takes {_LONGEST}")
    first = [word for word in line.split() if _FIRST_BOOT.fullmatch(word)]
    return Cmdline(tuple(word for word in line.split() if word not in first), tuple(first))


def template(cmdline: Cmdline, root: str) -> str:
    """`cmdline.txt.template` for the slots: the image's words, this root, and the gadget."""
    words = [
        f"root={root}" if word.startswith("root=") else word.replace("$", "$$")
        for word in cmdline.words
        if not _OURS.fullmatch(word)
    ]
    if cmdline.root is None:
        words.append(f"root={root}")
    return " ".join([*words, "${first_boot}", GADGET_WORDS]) + "\n"


def plain(cmdline: Cmdline) -> str:
    """`cmdline.txt` without the words for a first boot."""
    return " ".join(cmdline.words) + "\n"


def with_gadget(config: str) -> str:
    """`config.txt` with the USB controller as a device, on every board; as it is where that is so already."""
    section = "all"
    for line in config.splitlines():
        if match := _SECTION.fullmatch(line.strip()):
            section = match[1].strip().lower()
        elif section == "all" and _OVERLAY.fullmatch(line.strip()):
            return config
    return f"{config.rstrip()}\n\n[all]\n# a network over USB (terrible)\ndtoverlay=dwc2\n"
