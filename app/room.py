"""Which connections there are, and which has to go where there are too many; knows no HTTP.

Nothing here goes through all of them. Under a storm of connections that would be most of what is done, and what keeps
the storm from ending.
"""

import math
from collections import Counter
from typing import Protocol

from app.admission import SHARE


class Guest(Protocol):
    """`shares_as`: the address, or network of addresses, whose share it takes from."""

    shares_as: str

    @property
    def waits_for_us(self) -> bool:
        """It has asked and has no answer yet: whatever it lacks, it is not the guest's to bring."""

    def break_off(self) -> None: ...


class Room:
    """Room for so many guests; of those that one address may have, for a share."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._share = math.ceil(SHARE * most)
        self._guests: set[Guest] = set()
        self._of: Counter[str] = Counter()
        self._may_go: dict[Guest, None] = {}  # who has stood still the longest comes first
        self._may_go_of: dict[str, dict[Guest, None]] = {}

    def enter(self, guest: Guest, *, of_many: bool) -> None:
        """Breaks off who has stood still the longest, where there are too many of all or of the guest's address.

        `of_many`: the address has no share, being that of many.
        """
        self._guests.add(guest)
        self._of[guest.shares_as] += 1
        self.touch(guest)
        if not of_many and self._of[guest.shares_as] > self._share:
            self._break_off_first(self._may_go_of[guest.shares_as])
        elif len(self._guests) > self._most:
            self._break_off_first(self._may_go)

    def touch(self, guest: Guest) -> None:
        """It has got on: of those that may go, it is the last. Also where its waiting for us begins or ends."""
        if guest not in self._guests:
            return
        for those in (self._may_go, self._may_go_of.setdefault(guest.shares_as, {})):
            those.pop(guest, None)
            if not guest.waits_for_us:
                those[guest] = None

    def leave(self, guest: Guest) -> None:
        if guest not in self._guests:
            return
        self._guests.remove(guest)
        self._may_go.pop(guest, None)
        self._may_go_of[guest.shares_as].pop(guest, None)
        self._of[guest.shares_as] -= 1
        if not self._of[guest.shares_as]:
            del self._of[guest.shares_as], self._may_go_of[guest.shares_as]

    def _break_off_first(self, guests: dict[Guest, None]) -> None:
        first = next(iter(guests))
        self.leave(first)
        first.break_off()
