"""A few things lent to many callers, fairly; knows not what they are."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from app.inference.round_robin import RoundRobin

Thing = TypeVar("Thing")


class Turns(Generic[Thing]):
    """Whoever waits gets the next thing that comes back: one caller after another, whatever each has waiting."""

    def __init__(self, things: Iterable[Thing]) -> None:
        self._free = deque(things)
        self._waiting: RoundRobin[asyncio.Future[Thing]] = RoundRobin()

    async def take(self, caller: str) -> Thing:
        """A caller that is cancelled before its turn takes nothing."""
        if self._free:
            return self._free.popleft()
        turn: asyncio.Future[Thing] = asyncio.get_running_loop().create_future()
        self._waiting.add(caller, turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(turn.result())
            raise

    @asynccontextmanager
    async def lent(self, caller: str) -> AsyncIterator[Thing]:
        """Taken for the block, and then given back."""
        thing = await self.take(caller)
        try:
            yield thing
        finally:
            self.give(thing)

    def take_free(self) -> Thing | None:
        """A thing that nobody has, or None."""
        return self._free.popleft() if self._free else None

    def give(self, thing: Thing) -> None:
        """Back, for the next caller."""
        while self._waiting:
            turn = self._waiting.next()
            if not turn.done():
                turn.set_result(thing)
                return
        self._free.append(thing)
