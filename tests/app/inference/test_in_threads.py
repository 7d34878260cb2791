"""Blocking calls: a change is done or was never begun, and long calls hold up neither short ones nor other callers."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from services import PATIENCE

from app.inference.in_threads import InThreads

pytestmark = pytest.mark.anyio


class Calls:
    """Blocking calls that end when they are told to; `done` names those that were made."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.done: list[str] = []

    def make(self, name: str) -> str:
        self.begun.set()
        assert self.go_on.wait(PATIENCE)
        self.done.append(name)
        return name

    async def have_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, PATIENCE)


@pytest.fixture
async def threads() -> AsyncIterator[InThreads]:
    made = InThreads(1)
    yield made
    made.close()


async def test_a_change_that_is_cancelled_was_not_begun_or_is_finished(threads: InThreads) -> None:
    calls = Calls()
    begun = asyncio.create_task(threads.change(lambda: calls.make("begun"), "anna"))
    await calls.have_begun()
    waiting = asyncio.create_task(threads.change(lambda: calls.make("waiting"), "anna"))
    for _ in range(3):
        await asyncio.sleep(0)
        begun.cancel()
        waiting.cancel()
    [refused] = await asyncio.gather(waiting, return_exceptions=True)
    assert isinstance(refused, asyncio.CancelledError)
    calls.go_on.set()
    assert await begun == "begun"
    assert await threads.change(lambda: calls.make("next"), "anna") == "next"
    assert calls.done == ["begun", "next"]


async def test_a_change_within_a_limit_of_time_gives_its_result_although_it_is_late(threads: InThreads) -> None:
    calls = Calls()
    async with asyncio.timeout(PATIENCE) as limit:

        def expire(_: object) -> None:
            limit.reschedule(0)
            asyncio.get_running_loop().call_later(0.1, calls.go_on.set)

        begun = asyncio.create_task(calls.have_begun())
        begun.add_done_callback(expire)
        assert await threads.change(lambda: calls.make("late"), "anna") == "late"
    assert limit.expired()


async def test_a_change_raises_what_it_meets(threads: InThreads) -> None:
    with pytest.raises(ZeroDivisionError):
        await threads.change(lambda: 1 // 0, "anna")


async def test_long_calls_are_made_in_turns_and_hold_up_no_short_one(threads: InThreads) -> None:
    calls = Calls()
    names = ["mallory 1", "mallory 2", "mallory 3", "mallory 4", "anna 1"]
    tasks = [asyncio.create_task(threads.run_long(lambda n=n: calls.make(n), n.split()[0])) for n in names]  # type: ignore[misc]
    await calls.have_begun()
    assert await threads.run(lambda: "short") == "short"
    assert await threads.change(lambda: "change", "anna") == "change"
    tasks[3].cancel()  # its client has left
    calls.go_on.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert calls.done == ["mallory 1", "mallory 2", "anna 1", "mallory 3"]


async def test_changes_are_made_in_turns(threads: InThreads) -> None:
    calls = Calls()
    names = ["mallory 1", "mallory 2", "mallory 3", "mallory 4", "anna 1"]
    tasks = [asyncio.create_task(threads.change(lambda n=n: calls.make(n), n.split()[0])) for n in names]  # type: ignore[misc]
    await calls.have_begun()
    tasks[3].cancel()  # its time is over
    calls.go_on.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert calls.done == ["mallory 1", "mallory 2", "anna 1", "mallory 3"]
