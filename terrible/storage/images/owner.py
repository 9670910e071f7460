"""Who may log in to a node, and how the formats of first boot are told: cloud-init and rpi-preseed."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from enum import StrEnum

from terrible.errors import UsageError

_USER = r"[a-z][a-z0-9-]{0,31}"
"""What userconf-pi takes."""
_LOCALE = r"[a-z]{2,3}_[A-Z]{2}\.UTF-8|C\.UTF-8"
_KEY = re.compile(r"((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+) ([A-Za-z0-9+/]+={0,3})(?: (.*))?")
_FIRST = "1000"
"""The number of the first account and its group, which is renamed."""
META_DATA = b"dsmode: local\ninstance_id: terrible\n"


class Init(StrEnum):
    """By what an image is told who it is when it boots for the first time."""

    SYSTEMD = "systemd"
    CLOUD_INIT = "cloud-init"
    PRESEED = "rpi-preseed"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who may log in to the node, and how: `keys` are lines for authorized_keys."""

    user: str
    keys: tuple[str, ...]
    locale: str | None


def check_owner(owner: Owner) -> None:
    """UsageError for a name or a locale that the node would not take."""
    if not re.fullmatch(_USER, owner.user) or owner.user == "root":
        rule = "a name has small letters, digits and hyphens, begins with a letter, and is not root"
        raise UsageError(f"--user {owner.user}: {rule}")
    if owner.locale is not None and not re.fullmatch(_LOCALE, owner.locale):
        raise UsageError(f"--locale {owner.locale}: one looks like en_GB.UTF-8")


def check_in_image(owner: Owner, accounts: str, locales: str) -> None:
    """UsageError for a name that the system has for itself, or a locale that it cannot make.

    `accounts` are the lines of its passwd and group, `locales` those of /usr/share/i18n/SUPPORTED, if any.
    """
    for line in accounts.splitlines():
        name, _, rest = line.partition(":")
        if name == owner.user and rest.split(":")[1:2] != [_FIRST]:
            raise UsageError(
                f"--user {owner.user}: the image has an account or a group of that name; take another"
            )
    known = {line.split()[0].partition(".")[0] for line in locales.splitlines() if line.endswith(" UTF-8")}
    if owner.locale is not None and known and owner.locale.partition(".")[0] not in known:
        raise UsageError(f"--locale {owner.locale}: the image knows no such language and country")


def read_keys(text: str, where: str) -> list[str]:
    """The public keys in a file; UsageError for anything else in it."""
    if "PRIVATE KEY-----" in text:
        raise UsageError(f"{where}: that is a private key; give the public one, which ends in .pub")
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if (match := _KEY.fullmatch(line.strip())) is None:
            raise UsageError(
                f"{where}, line {number}: no public ssh key; one looks like: ssh-ed25519 AAAA… name"
            )
        if not _is_whole(match[1], match[2]):
            raise UsageError(
                f"{where}, line {number}: the key is not whole; copy the file that ssh-keygen made"
            )
        comment = re.sub(r"[^\w@.+-]", "_", match[3] or "")
        keys.append(f"{match[1]} {match[2]} {comment}".strip())
    if not keys:
        raise UsageError(f"{where}: there is no key in it")
    return keys


def _is_whole(kind: str, key: str) -> bool:
    """Whether it is a sequence of strings to its end, the first of them its kind (RFC 4253, 6.6)."""
    try:
        data = base64.b64decode(key, validate=True)
    except ValueError:
        return False
    begin = data.startswith(len(kind).to_bytes(4) + kind.encode())
    at, count = 0, 0
    while at < len(data):
        at, count = at + 4 + int.from_bytes(data[at : at + 4]), count + 1
    return begin and at == len(data) and count > 1


def user_data(owner: Owner) -> bytes:
    """For cloud-init, which takes JSON for YAML. The host's name and its keys are the head's business."""
    account = {
        "name": owner.user,
        "shell": "/bin/bash",
        "lock_passwd": True,
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "ssh_authorized_keys": list(owner.keys),
    }
    config = {
        "preserve_hostname": True,
        "manage_resolv_conf": False,
        "user": account,
        "ssh_pwauth": False,
        "ssh_deletekeys": False,
        "ssh_genkeytypes": [],
        **({"locale": owner.locale} if owner.locale else {}),
    }
    return f"#cloud-config\n{json.dumps(config, indent=1)}\n".encode()


def preseed(owner: Owner) -> bytes:
    """For rpi-preseed: rpi-preseed.toml."""
    keys = "".join(f"  {json.dumps(key)},\n" for key in owner.keys)
    locale = f'\n[locale]\nlocales = ["{owner.locale}"]\nlang = "{owner.locale}"\n' if owner.locale else ""
    return (
        'config_version = "1.1"\n\n'
        f'[user]\nname = "{owner.user}"\ngroups = ["sudo"]\npasswordless_sudo = true\n\n'
        f"[ssh]\nenabled = true\npassword_authentication = false\nauthorized_keys = [\n{keys}]\n{locale}"
    ).encode()
