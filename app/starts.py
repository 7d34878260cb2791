"""Which requests begin next: a few each turn of the event loop, one address after the other; knows no HTTP.

Hundreds of requests that arrive together would otherwise all begin in one turn, and whoever is being answered would
wait for them all.
"""

import asyncio
from collections.abc import Callable

from app.inference.round_robin import RoundRobin

A_TURN = 4
"""Requests that begin in one turn: about a millisecond's work."""


class Starts:
    """Requests that have come and wait to begin, by the address that they come from."""

    def __init__(self) -> None:
        self._waiting: RoundRobin[Callable[[], None]] = RoundRobin()

    def add(self, address: str, begin: Callable[[], None]) -> None:
        """`begin` is called soon; must be called by the event loop."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._next)
        self._waiting.add(address, begin)

    def _next(self) -> None:
        begins: list[Callable[[], None]] = []
        while self._waiting and len(begins) < A_TURN:
            begins.append(self._waiting.next())
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)
        for begin in begins:
            begin()
