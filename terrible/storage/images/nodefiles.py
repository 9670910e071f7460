"""What is put into a stock image so that it becomes a node's: texts only, where they go says `prepare`.

A node boots with the command line that the head serves, so nothing here depends on one: what has to be done
once on the node itself is done by a service of its own, with any format of first boot.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from terrible.storage.images.owner import Owner

_HELD = re.compile(r"linux-image-.*|raspi-firmware|raspberrypi-kernel|raspberrypi-bootloader")

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
HOST_KEY_SIZE = 1024
"""Room for an ed25519 key, of about 400 bytes, which the head writes over it on a card, ended by newlines."""
PLACEHOLDER = b"no key of the head's yet".ljust(HOST_KEY_SIZE, b"\n")
KEYS = "/usr/local/lib/terrible/authorized_keys"
SCRIPT = "/usr/local/lib/terrible/first-boot"
UNIT = "terrible-first-boot.service"


def host_key(private: bytes) -> bytes:
    """What to write over the placeholder for a slot's private key; ValueError where it has no room."""
    if len(private) > HOST_KEY_SIZE:
        raise ValueError(f"a host key of {len(private)} bytes; a card has room for {HOST_KEY_SIZE}")
    return private.ljust(HOST_KEY_SIZE, b"\n")


def hold(status: str) -> tuple[str, list[str]]:
    """Dpkg's status file with the kernel and the firmware on hold, and what is (as apt-mark hold does).

    A kernel that a node upgrades by itself is not the one that the head serves, and the firmware's packages
    would bring back the bootcode.bin for which the node would boot from its card.
    """
    held = []
    stanzas = status.split("\n\n")
    for index, stanza in enumerate(stanzas):
        match = re.search(r"^Package: (\S+)$", stanza, re.MULTILINE)
        if match and _HELD.fullmatch(match[1]) and "\nStatus: install ok installed" in stanza:
            stanzas[index] = stanza.replace("\nStatus: install ok", "\nStatus: hold ok", 1)
            held.append(match[1])
    return "\n\n".join(stanzas), held


def first_boot(owner: Owner | None) -> bytes:
    """The script that a card runs once; with an `owner` where no other format makes the account."""
    account = _ACCOUNT.format(user=owner.user, keys=KEYS) if owner else ""
    locale = _SET_LOCALE.format(locale=owner.locale) if owner and owner.locale else ""
    steps = ["grow", "host_key", *(["account"] if account else []), *(["set_locale"] if locale else [])]
    calls = "".join(f"{step} || echo 'first boot: {step} failed' >&2\n" for step in steps)
    return (_HEAD + account + locale + calls + _DONE).encode()


_HEAD = f"""#!/bin/sh
# Written by `terrible image prepare`; {UNIT} runs it until it has come to its end once.
set -u

# The root file system gets all of the card. sfdisk keeps the disk's identifier, and so PARTUUID=.
grow() {{
    root=$(findmnt -nvo SOURCE /) && part=$(basename "$root") || return
    number=$(cat "/sys/class/block/$part/partition") || return
    disk=/dev/$(basename "$(dirname "$(readlink -f "/sys/class/block/$part")")")
    echo ', +' | sfdisk --quiet --no-reread --force -N "$number" "$disk" && partx -u "$disk"
    resize2fs "$root"
}}

# A card that the head has written has the key of its slot; any other needs one of its own.
host_key() {{
    ssh-keygen -y -f {HOST_KEY} >/dev/null 2>&1 && return
    rm -f {HOST_KEY} {HOST_KEY}.pub
    ssh-keygen -q -t ed25519 -N '' -f {HOST_KEY}
}}
"""

_ACCOUNT = """
# The first account is renamed rather than added to, so that it keeps its groups.
account() {{
    if [ -x /usr/lib/userconf-pi/userconf ]; then
        /usr/lib/userconf-pi/userconf {user} ''
    elif ! getent passwd {user} >/dev/null; then
        useradd --create-home --groups sudo {user}
    fi
    usermod --shell /bin/bash {user}
    home=$(getent passwd {user} | cut -d: -f6) && group=$(id -gn {user}) || return
    install -d -m 700 -o {user} -g "$group" "$home/.ssh"
    install -m 600 -o {user} -g "$group" {keys} "$home/.ssh/authorized_keys"
    echo '{user} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/010_terrible
    chmod 440 /etc/sudoers.d/010_terrible
}}
"""

_SET_LOCALE = """
set_locale() {{
    grep -qx '{locale} UTF-8' /etc/locale.gen || echo '{locale} UTF-8' >>/etc/locale.gen
    locale-gen && update-locale LANG={locale}
}}
"""

_DONE = """
sync  # what was done is on the card before that it was
mkdir -p /var/lib/terrible && touch /var/lib/terrible/first-boot-done
sync
"""

_UNIT_TEXT = f"""[Unit]
Description=First boot of a node
ConditionPathExists=!/var/lib/terrible/first-boot-done
Before=ssh.service userconfig.service systemd-user-sessions.service

[Service]
Type=oneshot
ExecStart={SCRIPT}

[Install]
WantedBy=multi-user.target
"""

_UDEV = """# NetworkManager leaves gadgets alone unless it is told not to (85-nm-unmanaged.rules).
SUBSYSTEM=="net", ACTION=="add|change|move", ENV{DEVTYPE}=="gadget", ENV{NM_UNMANAGED}="0"
"""

_CONNECTION = """[connection]
id=terrible
type=ethernet
autoconnect-priority=100

[match]
interface-name=usb*

[ethernet]
cloned-mac-address=preserve

[ipv4]
method=auto

[ipv6]
method=auto
"""

_NO_BOOTCODE = """#!/bin/sh
# With it the boot ROM would start from this card and never ask the head (terrible image prepare).
rm -f /boot/firmware/bootcode.bin /boot/bootcode.bin
"""

_WANTS = "/etc/systemd/system/multi-user.target.wants"


def links() -> dict[str, str]:
    """Symbolic links to make, with their targets."""
    return {
        f"{_WANTS}/{UNIT}": f"/etc/systemd/system/{UNIT}",
        f"{_WANTS}/ssh.service": "/usr/lib/systemd/system/ssh.service",
        "/etc/systemd/system/regenerate_ssh_host_keys.service": "/dev/null",
    }


def files(owner: Owner, script: bytes) -> dict[str, tuple[bytes, int]]:
    """Files to write in the root file system, with their modes."""
    keys: Sequence[str] = [f"{key}\n" for key in owner.keys]
    return {
        f"/etc/systemd/system/{UNIT}": (_UNIT_TEXT.encode(), 0o644),
        SCRIPT: (script, 0o755),
        KEYS: ("".join(keys).encode(), 0o644),
        HOST_KEY: (PLACEHOLDER, 0o600),
        "/etc/ssh/sshd_config.d/terrible.conf": (
            f"HostKey {HOST_KEY}\nPasswordAuthentication no\n".encode(),
            0o644,
        ),
        "/etc/udev/rules.d/90-terrible-gadget.rules": (_UDEV.encode(), 0o644),
        "/etc/NetworkManager/system-connections/terrible.nmconnection": (_CONNECTION.encode(), 0o600),
        "/etc/NetworkManager/conf.d/terrible.conf": (b"[main]\nhostname-mode=none\n", 0o644),
        "/etc/kernel/postinst.d/zz-terrible": (_NO_BOOTCODE.encode(), 0o755),
        "/etc/initramfs/post-update.d/zz-terrible": (_NO_BOOTCODE.encode(), 0o755),
    }
