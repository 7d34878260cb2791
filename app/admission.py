"""How much work is let in at a time, and how much of it for one caller; knows no HTTP."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class OverloadedError(Exception):
    """As much as may be is in flight; nothing was done, and trying again later is safe."""


class DrainingError(Exception):
    """The service is about to stop and takes nothing more."""


class RateLimitedError(Exception):
    """The caller has used its quota up for now."""

    def __init__(self, seconds: float) -> None:
        super().__init__("rate limited")
        self.headers = {"Retry-After": str(math.ceil(seconds))}


class Admission:
    """Bounds the requests in flight and their bytes together; one request alone is let in whatever its size."""

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._bytes = 0
        self.in_flight = 0
        self.draining = False

    def check(self) -> None:
        """Raises DrainingError where nothing is let in any more."""
        if self.draining:
            raise DrainingError

    @contextmanager
    def admit(self, size: int) -> Iterator[None]:
        """Lets a request of so many bytes in while the `with` block lasts. Raises OverloadedError, DrainingError."""
        self.check()
        if self.in_flight >= self._max_requests or (self.in_flight and self._bytes + size > self._max_bytes):
            raise OverloadedError
        self.in_flight += 1
        self._bytes += size
        try:
            yield
        finally:
            self.in_flight -= 1
            self._bytes -= size


class Quota:
    """At most so many requests a minute for each caller: a minute's worth at once, then evenly.

    The generic cell rate algorithm (ITU-T I.371): one number a caller, the time at which its quota is whole again.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 60 / per_minute
        self._clock = clock
        self._whole: dict[str, float] = {}

    def take(self, caller: str) -> None:
        """Raises RateLimitedError."""
        now = self._clock()
        whole = max(now, self._whole.get(caller, now)) + self._interval
        if whole - now > 60 + 1e-9:
            raise RateLimitedError(whole - now - 60)
        self._whole[caller] = whole
