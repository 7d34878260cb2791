"""Blocking calls that wait while another runs are made together, as one. Knows no gallery and no HTTP."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.inference.in_threads import InThreads

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Asked(Generic[Item, Result]):
    item: Item
    answer: asyncio.Future[Result]


class Gathering(Generic[Item, Result]):
    """For the callers of one event loop. There is no timer: what waits while a call runs is the next one.

    `call` gives one result for each item, in their order.
    """

    def __init__(self, call: Callable[[Sequence[Item]], Sequence[Result]], threads: InThreads) -> None:
        self._call = call
        self._threads = threads
        self._waiting: list[_Asked[Item, Result]] = []
        self._running: asyncio.Task[None] | None = None

    async def ask(self, item: Item) -> Result:
        """The result of a call that begins after this. Raises what the call does."""
        asked: _Asked[Item, Result] = _Asked(item, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await asked.answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                together, self._waiting = [asked for asked in self._waiting if not asked.answer.done()], []
                if together:
                    await self._call_with(together)
        finally:
            self._running = None

    async def _call_with(self, together: list[_Asked[Item, Result]]) -> None:
        items = [asked.item for asked in together]
        try:
            results = await self._threads.run(lambda: self._call(items))
        except BaseException as error:  # it is each caller's, and the next call begins anew
            for asked in together:
                if not asked.answer.done():
                    asked.answer.set_exception(error)
            return
        for asked, mine in zip(together, results, strict=True):
            if not asked.answer.done():
                asked.answer.set_result(mine)
