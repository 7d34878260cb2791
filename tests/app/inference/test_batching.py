import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from app.inference.batching import (
    Batcher,
    BatchFailedError,
    ClosedError,
    DeadlineExceededError,
    QueueFullError,
    StoppedError,
)

pytestmark = pytest.mark.anyio


class Slow:
    """A call that doubles its items, notes its batches and, while `gate` is shut, does not return."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.started = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.started.set()
        assert self.gate.wait(60)
        if -1 in items:
            raise RuntimeError("no such item")
        if -2 in items:
            raise SystemExit  # ends the thread that it is raised in
        return [2 * item for item in items]


@asynccontextmanager
async def busy(call: Slow, **limits: Any) -> AsyncIterator[Batcher[int, int]]:
    """A batcher whose thread is held by item 0 until the block lets it go."""
    async with Batcher(call, **({"max_batch": 4, "max_waiting": 8} | limits)) as batcher:
        call.gate.clear()
        first = asyncio.create_task(batcher.submit(0))
        await asyncio.to_thread(call.started.wait)
        yield batcher
        call.gate.set()
        await first


async def values(batcher: Batcher[int, int], *items: int) -> list[int]:
    return list((await batcher.submit(*items)).values)


async def test_results_come_in_the_order_of_the_items() -> None:
    async with Batcher(Slow(), max_batch=4, max_waiting=8) as batcher:
        assert await values(batcher, 5, 3, 8) == [10, 6, 16]


async def test_what_waits_while_a_batch_runs_is_the_next_batch() -> None:
    call = Slow()
    async with busy(call) as batcher:
        waiting = [asyncio.create_task(values(batcher, item)) for item in (1, 2, 3, 4, 5)]
        await asyncio.sleep(0)
        call.gate.set()
        assert await asyncio.gather(*waiting) == [[2], [4], [6], [8], [10]]
    assert call.batches == [[0], [1, 2, 3, 4], [5]]


async def test_a_failed_batch_answers_all_its_waiters_and_the_next_succeeds() -> None:
    call = Slow()
    async with busy(call) as batcher:
        waiting = [asyncio.create_task(batcher.submit(item)) for item in (1, -1)]
        await asyncio.sleep(0)
        call.gate.set()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [BatchFailedError, BatchFailedError]
        assert await values(batcher, 7) == [14]


async def test_what_would_end_the_inference_thread_is_told_to_its_waiters_and_the_next_succeeds() -> None:
    call = Slow()
    async with busy(call) as batcher:
        waiting = [asyncio.create_task(batcher.submit(item)) for item in (1, -2)]
        await asyncio.sleep(0)
        call.gate.set()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [BatchFailedError, BatchFailedError]
        assert await values(batcher, 7) == [14]


async def test_a_thread_that_hangs_is_told_of_and_nothing_more_is_queued_behind_it() -> None:
    call = Slow()
    async with Batcher(call, max_batch=4, max_waiting=8, stuck_after=0.1) as batcher:
        batcher.check()
        call.gate.clear()
        hanging = asyncio.create_task(values(batcher, 1))
        await asyncio.sleep(0.2)
        with pytest.raises(StoppedError):
            batcher.check()
        with pytest.raises(StoppedError):
            await batcher.submit(2)
        call.gate.set()
        assert await hanging == [2]
        batcher.check()


async def test_closing_does_not_wait_for_a_thread_that_hangs() -> None:
    call = Slow()
    with anyio.fail_after(30):
        async with Batcher(call, max_batch=4, max_waiting=8, stuck_after=0.1) as batcher:
            call.gate.clear()
            hanging = asyncio.create_task(values(batcher, 1))
            await asyncio.sleep(0)
    with pytest.raises(ClosedError):
        batcher.check()
    call.gate.set()
    assert await hanging == [2]


async def test_the_deadline_is_looked_at_when_a_batch_is_formed() -> None:
    call = Slow()
    async with busy(call) as batcher:
        late = asyncio.create_task(batcher.submit(1, deadline=time.monotonic() + 0.02))
        early = asyncio.create_task(batcher.submit(2, deadline=time.monotonic() + 60))
        await asyncio.sleep(0.05)
        call.gate.set()
        with pytest.raises(DeadlineExceededError):
            await late
        assert (await early).values == [4]
    assert call.batches == [[0], [2]]


async def test_the_items_of_one_caller_stay_together() -> None:
    call = Slow()
    async with busy(call, max_batch=3, max_waiting=20) as batcher:
        waiting = [asyncio.create_task(values(batcher, *items)) for items in [(1, 2), (3, 4), (5,), (6, 7, 8, 9)]]
        await asyncio.sleep(0)
        assert batcher.waiting == 9
        call.gate.set()
        assert await asyncio.gather(*waiting) == [[2, 4], [6, 8], [10], [12, 14, 16, 18]]
    assert call.batches == [[0], [1, 2], [3, 4, 5], [6, 7, 8, 9]]


async def test_a_call_that_loses_results_is_a_failure_not_a_mix_up() -> None:
    def forgetful(items: list[int]) -> list[int]:
        return items[1:]

    async with Batcher(forgetful, max_batch=4, max_waiting=8) as batcher:
        with anyio.fail_after(30), pytest.raises(BatchFailedError):
            await batcher.submit(1, 2)


async def test_a_departed_caller_costs_no_work() -> None:
    call = Slow()
    async with busy(call) as batcher:
        leaving = asyncio.create_task(batcher.submit(1, 2))
        staying = asyncio.create_task(values(batcher, 3))
        await asyncio.sleep(0)
        leaving.cancel()
        call.gate.set()
        assert await staying == [6]
    assert call.batches == [[0], [3]]


async def test_a_caller_that_leaves_during_its_batch_harms_nobody() -> None:
    call = Slow()
    async with Batcher(call, max_batch=4, max_waiting=8) as batcher:
        call.gate.clear()
        leaving = asyncio.create_task(batcher.submit(1))
        await asyncio.to_thread(call.started.wait)
        leaving.cancel()
        call.gate.set()
        assert await values(batcher, 4) == [8]


async def test_a_full_queue_refuses_all_items_or_none_and_departed_callers_make_room() -> None:
    async with busy(Slow(), max_waiting=3) as batcher:
        first = asyncio.create_task(batcher.submit(1, 2))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await batcher.submit(3, 4)
        third = asyncio.create_task(batcher.submit(5))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await batcher.submit(6)
        first.cancel()
        await asyncio.sleep(0)
        fourth = asyncio.create_task(values(batcher, 6))
        await asyncio.sleep(0)
    assert await fourth == [12]
    assert (await third).values == [10]


async def test_callers_take_turns_however_many_items_one_has_waiting() -> None:
    call = Slow()
    async with busy(call, max_waiting=100) as batcher:
        waiting = [asyncio.create_task(batcher.submit(item, caller="a")) for item in range(1, 31)]
        waiting.append(asyncio.create_task(batcher.submit(100, caller="b")))
        await asyncio.sleep(0)
        call.gate.set()
        await asyncio.gather(*waiting)
    assert call.batches[:4] == [[0], [1, 100, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


async def test_one_caller_never_fills_the_queue() -> None:
    async with busy(Slow(), max_waiting=8, share=0.75) as batcher:
        waiting = [asyncio.create_task(batcher.submit(item, item, caller="a")) for item in (1, 2, 3)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await batcher.submit(4, caller="a")
        with pytest.raises(QueueFullError):
            await batcher.submit(4, caller="a", turns_as="a, a group")
        waiting.append(asyncio.create_task(batcher.submit(5, 6, caller="b")))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await batcher.submit(7, caller="c")
        waiting[0].cancel()
        await asyncio.sleep(0)
        waiting.append(asyncio.create_task(batcher.submit(8, 9, caller="a")))
        await asyncio.sleep(0)
    assert [list((await task).values) for task in waiting[1:]] == [[4, 4], [6, 6], [10, 12], [16, 18]]


async def test_closing_finishes_what_waits_and_takes_nothing_more() -> None:
    call = Slow()
    async with busy(call) as batcher:
        waiting = asyncio.create_task(values(batcher, 1))
        await asyncio.sleep(0)
    assert await waiting == [2]
    with pytest.raises(ClosedError):
        await batcher.submit(1)


async def test_waiting_and_running_times_are_told() -> None:
    async with busy(Slow()) as batcher:
        waiting = asyncio.create_task(batcher.submit(1))
        await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        assert not waiting.done()
    result = await waiting
    assert result.waited >= 0.04
    assert 0 <= result.ran < 30


async def test_results_are_never_swapped_between_many_callers() -> None:
    async with Batcher(Slow(), max_batch=7, max_waiting=2000) as batcher:
        answers = await asyncio.gather(*(values(batcher, i, i + 1) for i in range(500)))
    assert answers == [[2 * i, 2 * i + 2] for i in range(500)]


async def test_nothing_is_taken_before_it_runs() -> None:
    with pytest.raises(ClosedError):
        await Batcher(Slow(), max_batch=1, max_waiting=1).submit(1)
