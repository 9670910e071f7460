"""The nodes' names on the head itself: asked of our dnsmasq through systemd-resolved, else in /etc/hosts."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from terrible.errors import HostError
from terrible.net import atomic
from terrible.net.tools import ToolError, output

log = logging.getLogger(__name__)

HOSTS = Path("/etc/hosts")
RESOLVED = Path("/run/systemd/resolve")
RESOLV_CONF = Path("/etc/resolv.conf")
NSSWITCH = Path("/etc/nsswitch.conf")
_BEGIN = "# begin terrible"
_LENT = "# begin terrible: the line above had no end"
_END = "# end terrible"
_OURS = "\t# by terrible"
"""At the end of each of our lines: what is left of a damaged block can be told from what others wrote."""
_NSS = re.compile(r"^\s*hosts:.*\bresolve\b", re.MULTILINE)


async def publish(names: Mapping[str, str], domain: str, bridge: str, address: str) -> str:
    """Let the head know `names` (name to address); says how. HostError where there is no way.

    `address` is where our dnsmasq answers for `domain`. Can be repeated with other names.
    """
    if await _told_resolved(names, domain, bridge, address):
        _edit(without_block)
        return "systemd-resolved"
    await _revert(bridge)
    lines = [f"{where}\t{name}.{domain} {name}" for name, where in names.items()]
    _edit(lambda text: with_block(text, lines))
    return str(HOSTS)


async def withdraw(bridge: str) -> None:
    """Undo `publish`, whichever way it went and however far it got."""
    await _revert(bridge)
    _edit(without_block)


# -- systemd-resolved ---------------------------------------------------------------------------------------


async def _told_resolved(names: Mapping[str, str], domain: str, bridge: str, address: str) -> bool:
    if not _resolved_answers():
        return False
    zones = [f"~{ipaddress.ip_address(where).reverse_pointer}" for where in dict.fromkeys(names.values())]
    try:
        # The server comes last: it must never be one that is asked for everything.
        await output("resolvectl", "default-route", bridge, "no")
        await output("resolvectl", "domain", bridge, domain, *zones)
        # dnsmasq has no TLS and signs nothing, whatever resolved.conf demands of other links.
        await output("resolvectl", "dnsovertls", bridge, "no")
        await output("resolvectl", "dnssec", bridge, "no")
        await output("resolvectl", "dns", bridge, address)
    except ToolError as error:
        log.warning("names of nodes go into %s: %s", HOSTS, error)
        return False
    return True


def _resolved_answers() -> bool:
    """Whether programs ask it, and in a way that knows the domains of links: its directory says neither.

    `stub-resolv.conf` lists them, a file that merely names 127.0.0.53 does not (systemd-resolved.service(8)).
    """
    asked = RESOLV_CONF.resolve() == (RESOLVED / "stub-resolv.conf").resolve()
    return _resolved_is_there() and (asked or bool(_NSS.search(_text(NSSWITCH))))


def _resolved_is_there() -> bool:
    return RESOLVED.is_dir() and shutil.which("resolvectl") is not None


async def _revert(bridge: str) -> None:
    """Back to nothing; of a bridge that is gone it has forgotten everything by itself."""
    if _resolved_is_there():
        with contextlib.suppress(ToolError):
            await output("resolvectl", "revert", bridge)


# -- /etc/hosts ---------------------------------------------------------------------------------------------


def with_block(text: str, lines: Iterable[str]) -> str:
    """The hosts file with our block: where it was, else at the end; every line of others stays as it is."""
    before, after = _others(text)
    begin = f"\n{_LENT}\n" if before and not before.endswith("\n") else f"{_BEGIN}\n"
    return before + begin + "".join(f"{line}{_OURS}\n" for line in lines) + f"{_END}\n" + after


def without_block(text: str) -> str:
    """The hosts file as it was before, byte for byte; what others have put there since stays."""
    return "".join(_others(text))


def _others(text: str) -> tuple[str, str]:
    """What is not ours, before and after the first line that is."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    first = next((at for at, line in enumerate(lines) if _is_ours(line)), len(lines))
    before, after = "".join(lines[:first]), "".join(line for line in lines[first:] if not _is_ours(line))
    if not after and any(line.rstrip() == _LENT for line in lines):
        before = before.removesuffix("\n")
    return before, after


def _is_ours(line: str) -> bool:
    bare = line.rstrip()
    return bare in (_BEGIN, _LENT, _END) or bare.endswith(_OURS)


def _edit(change: Callable[[str], str]) -> None:
    """Write the hosts file if it changes."""
    try:
        old = _text(HOSTS)
        if (new := change(old)) != old:
            atomic.replace(HOSTS, new)
    except OSError as error:
        raise HostError(
            f"{HOSTS} cannot be changed: {error.strerror}; names of nodes belong there"
        ) from error


def _text(path: Path) -> str:
    """All its bytes, whatever they are in; nothing where there is no such file."""
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return ""
