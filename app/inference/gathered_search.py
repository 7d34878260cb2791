"""Searches of many callers, which cost each other little time: what is slow is gathered. Knows no HTTP."""

from collections.abc import Sequence

from app.gallery.index import Found, Index
from app.gallery.matrix import Vector
from app.inference.gathering import Gathering
from app.inference.in_threads import InThreads


class GatheredSearch:
    """For the callers of one event loop. What takes a moment is done in it: a thread would wait for a core first."""

    def __init__(self, index: Index, threads: InThreads) -> None:
        self._index = index
        self._refreshing: Gathering[None, None] = Gathering(self._refresh, threads)
        self._searching = Gathering(self._search, threads)

    async def refresh(self) -> None:
        """Takes in what was written before this was asked. Raises GalleryUnavailable."""
        await self._refreshing.ask(None)

    async def search(self, query: Vector, limit: int) -> Found:
        """The nearest people, at least `limit` where there are so many, as of the last refresh or later.

        Raises what Index.search does.
        """
        found = self._index.search_at_once(query, limit)
        return found or await self._searching.ask((query, limit))

    def _refresh(self, asked: Sequence[None]) -> list[None]:
        self._index.refresh()
        return [None] * len(asked)

    def _search(self, asked: Sequence[tuple[Vector, int]]) -> list[Found]:
        """Together: vectors are read from memory once for all."""
        return self._index.search_refreshed([query for query, _ in asked], max(limit for _, limit in asked))
