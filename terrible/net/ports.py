"""Which interface of a slot may be on the bridge, and which is kept off. Pure.

Two nodes with the same MAC (cloned cards, no command line of their own) would take each other's frames:
whoever came first stays, the other is kept off until the first has left. A gadget's MAC is seen with its
first frame, so the second may be on the bridge for as long as that takes. Only a slot's own MAC, which
anybody can work out, is its own whoever came first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from terrible.net.interfaces import Interface

MOST_MACS = 64
"""Of one port. A node has one; one that makes them up must not fill our memory."""


@dataclass
class Ports:
    """By slot number: the interfaces that have joined, the MACs behind them, who is kept off and why."""

    own: Mapping[int, str] = field(default_factory=dict)
    """The MAC that the boot files of a slot give its gadget."""
    joined: dict[int, Interface] = field(default_factory=dict)
    owners: dict[str, int] = field(default_factory=dict)
    kept_off: dict[int, tuple[int, str, str]] = field(default_factory=dict)
    """The index of the interface, the MAC it shares, and the sentence."""

    def left(self, present: Mapping[int, Interface]) -> dict[int, Interface]:
        """Forget the interfaces that are no longer there, and return them by their slot."""
        gone = {
            number: interface
            for number, interface in self.joined.items()
            if number not in present or present[number].index != interface.index
        }
        for number in gone:
            del self.joined[number]
            self.owners = {mac: owner for mac, owner in self.owners.items() if owner != number}
        for number, (index, mac, _) in list(self.kept_off.items()):
            here = present.get(number)
            if here is None or here.index != index or (mac and not self._held(mac, number)):
                del self.kept_off[number]
        return gone

    def may_join(self, number: int, interface: Interface, names: Mapping[int, str]) -> bool:
        """Whether this interface is to join now; one whose head's end is another's already is kept off."""
        if number in self.joined or number in self.kept_off:
            return False
        for other, there in self.joined.items():
            if there.mac == interface.mac:
                self._keep_off(number, interface.index, interface.mac, names[other])
                return False
        return True

    def seen(self, index: int, mac: str, names: Mapping[int, str]) -> Interface | None:
        """A MAC was seen behind the port with this index; the interface to take off the bridge, if any."""
        number = next((n for n, interface in self.joined.items() if interface.index == index), None)
        if number is None:
            return None
        if mac not in self.owners and [*self.owners.values()].count(number) >= MOST_MACS:
            self.kept_off[number] = (index, "", "it makes up MACs and is kept off the bridge")
            return self.joined.pop(number)
        owner = self.owners.setdefault(mac, number)
        if owner == number:
            return None
        if self.own.get(number) == mac:  # whoever used it before is the impostor
            self.owners[mac] = number
            there = self.joined.pop(owner, None)
            self._keep_off(owner, there.index if there else 0, mac, names[number])
            return there
        self._keep_off(number, index, mac, names[owner])
        return self.joined.pop(number)

    def _keep_off(self, number: int, index: int, mac: str, other: str) -> None:
        said = f"it has the MAC {mac} of {other} and is kept off the bridge; two cards with one command line?"
        self.kept_off[number] = (index, mac, said)

    def _held(self, mac: str, but: int) -> bool:
        if self.owners.get(mac, but) != but:
            return True
        return any(there.mac == mac for number, there in self.joined.items() if number != but)
