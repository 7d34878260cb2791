"""Searches that wait while others run are done together: the gallery's vectors are read once. Knows no HTTP."""

import asyncio
from dataclasses import dataclass

from app.gallery.index import Found, Index
from app.gallery.matrix import Vector
from app.inference.in_threads import InThreads


@dataclass(frozen=True)
class _Asked:
    query: Vector
    limit: int
    answer: asyncio.Future[Found]


class GatheredSearch:
    """For the callers of one event loop. There is no timer: what waits while a search runs is the next one."""

    def __init__(self, index: Index, threads: InThreads) -> None:
        self._index = index
        self._threads = threads
        self._waiting: list[_Asked] = []
        self._running: asyncio.Task[None] | None = None

    async def search(self, query: Vector, limit: int) -> Found:
        """The nearest people, at least `limit` where there are so many. Raises what Index.search does."""
        asked = _Asked(query, limit, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await asked.answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                together, self._waiting = [asked for asked in self._waiting if not asked.answer.done()], []
                if together:
                    await self._search(together)
        finally:
            self._running = None

    async def _search(self, together: list[_Asked]) -> None:
        queries, limit = [asked.query for asked in together], max(asked.limit for asked in together)
        try:
            found = await self._threads.run(lambda: self._index.search_many(queries, limit))
        except BaseException as error:  # it is each caller's, and the next search begins anew
            for asked in together:
                if not asked.answer.done():
                    asked.answer.set_exception(error)
            return
        for asked, mine in zip(together, found, strict=True):
            if not asked.answer.done():
                asked.answer.set_result(mine)
