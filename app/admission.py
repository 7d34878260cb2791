"""How many requests are worked on at a time, how many bytes they may hold, and each caller's share; knows no HTTP.

An upload costs what has come of it so far, so that who brings nothing takes nothing away. Only what is whole is worked
on, and only that is counted against the requests.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SHARE = 0.75
"""The part of all room that one caller may take."""
_STALLED_SECONDS = 1.0
"""An upload that has brought nothing for as long gives way where room is needed."""
_PRUNED_FROM = 1024


class OverloadedError(Exception):
    """As much as may be is in flight; nothing was done, and trying again later is safe."""


class DrainingError(Exception):
    """The service is about to stop and takes nothing more."""


class RateLimitedError(Exception):
    """The caller has used its quota up for now; `retry_after`: whole seconds until there is some again."""

    def __init__(self, seconds: float) -> None:
        super().__init__("rate limited")
        self.retry_after = math.ceil(seconds)


@dataclass(eq=False)
class Ticket:
    """One request that was let in. `give_up` ends it, where others need its room."""

    caller: str
    give_up: Callable[[], None]
    last: float
    """When the last byte came, by the clock."""
    size: int = 0
    whole: bool = False
    working: bool = False
    answered: bool = False


class Admission:
    """Bounds the requests worked on and the bytes of all let in; one request alone is let in whatever its size."""

    def __init__(self, max_requests: int, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._clock = clock
        self._tickets: dict[Ticket, None] = {}
        self._total_bytes = 0
        self._bytes: Counter[str] = Counter()
        self._working: Counter[str] = Counter()
        self.draining = False

    @property
    def in_flight(self) -> int:
        """Requests let in that have not ended, whether they still come or are worked on."""
        return len(self._tickets)

    def check(self) -> None:
        """Raises DrainingError where nothing is let in any more."""
        if self.draining:
            raise DrainingError

    @contextmanager
    def admit(self, caller: str, declared: int, give_up: Callable[[], None]) -> Iterator[Ticket]:
        """Lets a request in while the `with` block lasts. `declared`: bytes that it says it has, 0 where it does not.

        Raises OverloadedError or DrainingError.
        """
        self.check()
        ticket = Ticket(caller, give_up, self._clock())
        self._require_slot(caller)
        self._make_room(ticket, declared)
        self._tickets[ticket] = None
        try:
            yield ticket
        finally:
            self._release(ticket)

    def charge(self, ticket: Ticket, size: int) -> None:
        """So many bytes more have come. Raises OverloadedError where there is no room for them."""
        self._require(ticket)
        self._make_room(ticket, size)
        ticket.last = self._clock()
        ticket.size += size
        self._total_bytes += size
        self._bytes[ticket.caller] += size

    def start_work(self, ticket: Ticket) -> None:
        """The request is whole. Raises OverloadedError where as many as may be are worked on."""
        self._require(ticket)
        self._require_slot(ticket.caller)
        ticket.whole = ticket.working = True
        self._working[ticket.caller] += 1

    def end_work(self, ticket: Ticket) -> None:
        """The answer begins, and no byte of the body is held any more. However long the client takes, others go on."""
        self._give_back(ticket)
        ticket.answered = True

    def _require(self, ticket: Ticket) -> None:
        if ticket not in self._tickets:  # it gave way, and what still comes of it is nobody's
            raise OverloadedError

    def _require_slot(self, caller: str) -> None:
        busy, own = self._working.total(), self._working[caller]
        if busy >= self._max_requests or own >= math.ceil(SHARE * self._max_requests):
            raise OverloadedError

    def _make_room(self, ticket: Ticket, size: int) -> None:
        """Ends uploads that have stalled, the longest first, until so many bytes fit. Raises OverloadedError."""
        while self._total_bytes + size > self._max_bytes and (others := self._others(ticket)):
            self._end_stalled(others)
        share = SHARE * self._max_bytes
        while self._bytes[ticket.caller] + size > share and (others := self._others(ticket, ticket.caller)):
            self._end_stalled(others)

    def _others(self, ticket: Ticket, caller: str | None = None) -> list[Ticket]:
        """All that are not answered but this one; of one caller, or of all."""
        others = [other for other in self._tickets if other is not ticket and not other.answered]
        return [other for other in others if caller in (None, other.caller)]

    def _end_stalled(self, tickets: list[Ticket]) -> None:
        since = self._clock() - _STALLED_SECONDS
        stalled = [ticket for ticket in tickets if not ticket.whole and ticket.last <= since]
        if not stalled:
            raise OverloadedError
        longest = min(stalled, key=lambda ticket: ticket.last)
        self._release(longest)
        longest.give_up()

    def _release(self, ticket: Ticket) -> None:
        if ticket not in self._tickets:
            return
        del self._tickets[ticket]
        self._give_back(ticket)

    def _give_back(self, ticket: Ticket) -> None:
        self._total_bytes -= ticket.size
        _subtract(self._bytes, ticket.caller, ticket.size)
        _subtract(self._working, ticket.caller, int(ticket.working))
        ticket.size, ticket.working = 0, False


class Quota:
    """At most so many requests a minute for each caller: a minute's worth at once, then evenly.

    The generic cell rate algorithm (ITU-T I.371): one number a caller, the time at which its quota is whole again.
    A caller whose quota is whole is forgotten, so that memory is bounded by the callers of the last minute.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 60 / per_minute
        self._clock = clock
        self._whole: dict[str, float] = {}
        self._prune_at = _PRUNED_FROM

    @property
    def remembered(self) -> int:
        """Callers whose quota is not whole, and some that are not yet forgotten."""
        return len(self._whole)

    def take(self, caller: str) -> None:
        """Raises RateLimitedError."""
        now = self._clock()
        whole = max(now, self._whole.get(caller, now)) + self._interval
        if whole - now > 60 + 1e-9:
            raise RateLimitedError(whole - now - 60)
        self._whole[caller] = whole
        if len(self._whole) >= self._prune_at:
            self._whole = {caller: whole for caller, whole in self._whole.items() if whole > now}
            self._prune_at = max(_PRUNED_FROM, 2 * len(self._whole))


def _subtract(counts: Counter[str], caller: str, amount: int) -> None:
    counts[caller] -= amount
    if not counts[caller]:
        del counts[caller]
