import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import pytest

from app.gallery.index import Counts, Found, Index
from app.gallery.matrix import Match, Vector
from app.gallery.records import GalleryUnavailable
from app.inference.gathered_search import GatheredSearch
from app.inference.in_threads import InThreads

pytestmark = pytest.mark.anyio


class Slow:
    """An index that finds a person of the query's number; while `gate` is shut, it does not return.

    `small`: it finds them at once.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[list[int], int]] = []
        self.refreshes = 0
        self.gate = threading.Event()
        self.gate.set()
        self.broken = False
        self.small = False

    def refresh(self) -> None:
        self.refreshes += 1
        assert self.gate.wait(60)

    def search_at_once(self, query: Vector, _: int) -> Found | None:
        return found(int(query[0])) if self.small else None

    def search_refreshed(self, queries: Sequence[Vector], limit: int) -> list[Found]:
        numbers = [int(query[0]) for query in queries]
        self.asked.append((numbers, limit))
        assert self.gate.wait(60)
        if self.broken:
            raise GalleryUnavailable
        return list(map(found, numbers))


def found(number: int) -> Found:
    return Found([Match(f"E{number}", 0, "ph_1", 1)], Counts(1, 1, 1, 0, ()))


@pytest.fixture
def index() -> Slow:
    return Slow()


@pytest.fixture
def threads() -> Iterator[InThreads]:
    threads = InThreads(2)
    yield threads
    threads.close()


@pytest.fixture
def searches(index: Slow, threads: InThreads) -> GatheredSearch:
    return GatheredSearch(cast("Index", index), threads)


async def ask(searches: GatheredSearch, number: int, limit: int = 2) -> str:
    found = await searches.search(np.array([number], np.float32), limit)
    return found.matches[0].person_id


async def start(searches: GatheredSearch, *numbers: int, limit: int = 2) -> list["asyncio.Task[str]"]:
    """Tasks that have asked."""
    tasks = [asyncio.create_task(ask(searches, number, limit)) for number in numbers]
    await asyncio.sleep(0)
    return tasks


async def in_the_index(index: Slow, times: int) -> None:
    while len(index.asked) < times:
        await asyncio.sleep(0.001)


async def test_what_waits_while_a_search_runs_is_the_next_one(index: Slow, searches: GatheredSearch) -> None:
    index.gate.clear()
    first = await start(searches, 1)
    await in_the_index(index, 1)
    others = [*await start(searches, 2, 3), *await start(searches, 4, limit=7)]
    index.gate.set()
    assert await asyncio.gather(*first, *others) == ["E1", "E2", "E3", "E4"]
    assert index.asked == [([1], 2), ([2, 3, 4], 7)]
    assert await ask(searches, 5) == "E5"


async def test_a_fault_is_each_callers_and_the_next_search_succeeds(index: Slow, searches: GatheredSearch) -> None:
    index.broken = True
    outcomes = await asyncio.gather(ask(searches, 1), ask(searches, 2), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [GalleryUnavailable, GalleryUnavailable]
    index.broken = False
    assert await ask(searches, 3) == "E3"


async def test_who_leaves_costs_no_search_and_harms_nobody(index: Slow, searches: GatheredSearch) -> None:
    index.gate.clear()
    leaving_early = await start(searches, 1)
    await in_the_index(index, 1)
    [leaving, staying] = await start(searches, 2, 3)
    leaving.cancel()
    leaving_early[0].cancel()
    await asyncio.sleep(0)
    index.gate.set()
    assert await staying == "E3"
    assert index.asked == [([1], 2), ([3], 2)]


async def test_results_are_never_swapped(searches: GatheredSearch) -> None:
    assert await asyncio.gather(*(ask(searches, number) for number in range(300))) == [f"E{i}" for i in range(300)]


async def test_a_small_gallery_is_searched_without_a_thread(index: Slow, searches: GatheredSearch) -> None:
    index.small = True
    index.gate.clear()
    assert await ask(searches, 7) == "E7"
    assert index.asked == []


async def test_what_runs_already_is_nobodys_refresh(index: Slow, searches: GatheredSearch) -> None:
    """Who asks meanwhile may have written meanwhile; and one refresh is enough for all who wait."""
    index.gate.clear()
    first = asyncio.create_task(searches.refresh())
    while index.refreshes == 0:
        await asyncio.sleep(0.001)
    others = [asyncio.create_task(searches.refresh()) for _ in range(5)]
    await asyncio.sleep(0.01)
    assert index.refreshes == 1
    index.gate.set()
    await asyncio.gather(first, *others)
    assert index.refreshes == 2
