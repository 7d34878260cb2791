"""Which request begins next: one each turn of the event loop, one address after the other; knows no HTTP.

Hundreds of requests that arrive together would otherwise all begin in one turn, and whoever is being answered would
wait for them all.
"""

import asyncio
from collections import deque
from collections.abc import Callable


class Starts:
    """Requests that have come and wait to begin, by the address that they come from."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Callable[[], None]]] = {}

    def add(self, address: str, begin: Callable[[], None]) -> None:
        """`begin` is called soon; must be called by the event loop."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._next)
        self._waiting.setdefault(address, deque()).append(begin)

    def _next(self) -> None:
        address = next(iter(self._waiting))
        requests = self._waiting.pop(address)
        begin = requests.popleft()
        if requests:
            self._waiting[address] = requests  # behind all others
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)
        begin()
