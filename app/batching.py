"""Single items in, one blocking call a batch, results or errors out; knows no HTTP, no tensor and no face.

There is no timer: whatever waits while one batch runs is the next batch.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class QueueFullError(Exception):
    """Too much is waiting already; nothing was done, and trying again later is safe."""


class BatchFailedError(Exception):
    """The call that held this item raised; the cause is attached."""


class ClosedError(Exception):
    """The batcher takes nothing more."""


@dataclass(frozen=True)
class Batched(Generic[Result]):
    """A result, with the seconds that its item waited and that its batch ran."""

    value: Result
    waited: float
    ran: float


@dataclass(frozen=True)
class _Waiter(Generic[Item, Result]):
    item: Item
    since: float
    future: asyncio.Future[Batched[Result]]


class Batcher(Generic[Item, Result]):
    """Runs `call` on batches, in one thread of its own, while its `async with` block lasts.

    `call` takes 1 to `max_batch` items and gives one result for each, in their order.
    """

    def __init__(self, call: Callable[[list[Item]], Sequence[Result]], max_batch: int, max_waiting: int) -> None:
        self._call = call
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._waiting: deque[_Waiter[Item, Result]] = deque()
        self._arrived = asyncio.Event()
        self._closed = True

    async def __aenter__(self) -> Self:
        self._closed = False
        self._thread = ThreadPoolExecutor(1, "batch")
        self._loop = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Refuses new items, finishes those that wait, then stops."""
        self._closed = True
        self._arrived.set()
        await self._loop
        self._thread.shutdown()

    async def submit(self, *items: Item) -> list[Batched[Result]]:
        """The results of the items, all admitted or none. Cancelled callers cost no further work.

        Raises QueueFullError, ClosedError, or BatchFailedError where the call raised.
        """
        if self._closed:
            raise ClosedError
        self._drop_departed()
        if len(self._waiting) + len(items) > self._max_waiting:
            raise QueueFullError
        now, loop = time.perf_counter(), asyncio.get_running_loop()
        waiters = [_Waiter(item, now, loop.create_future()) for item in items]
        self._waiting.extend(waiters)
        self._arrived.set()
        results: list[Batched[Result]] = await asyncio.gather(*(waiter.future for waiter in waiters))
        return results

    async def _run(self) -> None:
        while self._waiting or not self._closed:
            await self._arrived.wait()
            self._arrived.clear()
            while batch := self._next_batch():
                await self._answer(batch)

    def _next_batch(self) -> list[_Waiter[Item, Result]]:
        self._drop_departed()
        return [self._waiting.popleft() for _ in range(min(self._max_batch, len(self._waiting)))]

    def _drop_departed(self) -> None:
        if any(waiter.future.done() for waiter in self._waiting):
            self._waiting = deque(waiter for waiter in self._waiting if not waiter.future.done())

    async def _answer(self, batch: list[_Waiter[Item, Result]]) -> None:
        started = time.perf_counter()
        try:
            results = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._call, [waiter.item for waiter in batch]
            )
            if len(results) != len(batch):
                raise ValueError(f"{len(results)} results for {len(batch)} items")
        except Exception as error:
            for waiter in batch:
                _settle(waiter.future, error)
            return
        ran = time.perf_counter() - started
        for waiter, result in zip(batch, results, strict=True):
            if not waiter.future.done():
                waiter.future.set_result(Batched(result, started - waiter.since, ran))


def _settle(future: asyncio.Future[Batched[Result]], cause: Exception) -> None:
    if not future.done():
        failure = BatchFailedError("the batch failed")
        failure.__cause__ = cause
        future.set_exception(failure)
