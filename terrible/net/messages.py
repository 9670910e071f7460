"""What `terrible-net` is asked, and what it answers: lines of JSON. Pure, and of the strict kind."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from terrible.net import addresses
from terrible.net.plan import Standing
from terrible.peers import Refused

LONGEST = 4096
Op = Literal["apply", "reload", "join", "down", "watch"]


@dataclass(frozen=True, slots=True)
class NetRequest:
    """A checked request. `slot` is the number to join; `prefer` the subnet that was chosen before."""

    op: Op
    slot: int = 0
    prefer: str = ""


def parse(line: bytes) -> NetRequest:
    """Read one request; Refused for anything that is not exactly one.

    Whatever it says, names of interfaces, addresses and rules come from the configuration and from sysfs: a
    preferred subnet is only ever picked among those configured.
    """
    try:
        match json.loads(line.decode()):
            case {"v": 1, "op": "apply" | "reload" | "down" | "watch" as op, **rest} if not rest:
                return NetRequest(op)
            case {"v": 1, "op": "apply", "prefer": str(prefer), **rest} if not rest and len(prefer) < 32:
                return NetRequest("apply", prefer=prefer)
            case {"v": 1, "op": "join", "slot": int(slot), **rest} if not rest and type(slot) is not bool:
                if addresses.FIRST <= slot <= addresses.LAST:
                    return NetRequest("join", slot=slot)
    except (ValueError, RecursionError) as error:
        raise Refused(f"bad request: {error}") from error
    raise Refused('a request is {"v": 1, "op": …} with apply (prefer), reload, join (slot), down or watch')


def ask(request: NetRequest) -> bytes:
    """A request as its line."""
    fields: dict[str, object] = {"v": 1, "op": request.op}
    if request.slot:
        fields["slot"] = request.slot
    if request.prefer:
        fields["prefer"] = request.prefer
    return json.dumps(fields).encode() + b"\n"


def done(standing: Standing) -> bytes:
    """The answer to what was done, and each line of a watch: how the network stands now."""
    return json.dumps({"v": 1, "ok": True, **asdict(standing)}).encode() + b"\n"


def refusal(why: str) -> bytes:
    """The answer to what was not done."""
    return json.dumps({"v": 1, "ok": False, "error": why}).encode() + b"\n"


def answer(line: bytes) -> Standing:
    """Read an answer; Refused with its reason, ValueError for what is none."""
    said: Any = json.loads(line.decode())
    match said:
        case {"ok": False, "error": str(error)}:
            raise Refused(error)
        case {"ok": True, "conflicts": dict(conflicts), "interfaces": dict(interfaces)}:
            words = {
                key: str(said.get(key, "")) for key in ("subnet", "bridge", "uplink", "names", "problem")
            }
            return Standing(**words, conflicts=_numbered(conflicts), interfaces=_numbered(interfaces))
    raise ValueError("no answer of terrible-net")


def _numbered(table: dict[str, Any]) -> dict[int, str]:
    return {int(number): str(text) for number, text in table.items()}
