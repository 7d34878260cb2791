"""Long work of the event loop, piece by piece: everybody else is served in between, whoever asked for how much."""

import asyncio
from collections.abc import Generator
from typing import TypeVar, cast

from app.inference.turns import Turns

T = TypeVar("T")
Pieces = Generator[None, None, T]
"""Work that yields wherever it may wait: at least once a millisecond or two. It returns its result."""


class InPieces:
    """One work at a time, callers in turn.

    No thread: one that computes lets the event loop in after 5 ms at the earliest, and one that reads JSON not at all.
    """

    def __init__(self) -> None:
        self._turns = Turns(["the only one"])

    async def run(self, work: Pieces[T], caller: str) -> T:
        """The work's result. Raises what it does. Work that is cancelled ends with the piece that it is at."""
        async with self._turns.lent(caller):
            try:
                while True:
                    next(work)
                    await asyncio.sleep(0)
            except StopIteration as end:
                return cast("T", end.value)
