"""Collects the items of many callers into batches and calls a function on each; knows no HTTP, tensor or face.

There is no timer: what waits while one batch runs is the next batch. The inference thread takes it by itself, so
that a busy event loop never leaves it idle.
"""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Self, TypeVar

from app.inference.round_robin import RoundRobin
from model.engines.priority import give_way

Item = TypeVar("Item")
Result = TypeVar("Result")


PROOF_SECONDS = 1.0
"""A success within this time counts as a health check."""


class QueueFullError(Exception):
    """The queue is full. Nothing was done, and trying again later is safe."""


class DeadlineExceededError(Exception):
    """The caller's deadline passed before its batch began. Nothing was done, and trying again later is safe."""


@dataclass(frozen=True)
class Batched(Generic[Result]):
    """The results, one for each item; the seconds that the items waited, and that their batch ran."""

    values: Sequence[Result]
    waited: float
    ran: float


@dataclass(frozen=True)
class Pending(Generic[Item, Result]):
    """Items that stay together. Times are those of `time.monotonic`."""

    items: tuple[Item, ...]
    since: float
    deadline: float
    answer: asyncio.Future[Batched[Result]]
    caller: str
    turns_as: str

    @property
    def cancelled(self) -> bool:
        return self.answer.done()

    def resolve(self, outcome: Batched[Result] | Exception) -> None:
        """Gives the caller its results or an exception, if it still waits. Any thread may call this."""
        self.answer.get_loop().call_soon_threadsafe(self._resolve, outcome)

    def _resolve(self, outcome: Batched[Result] | Exception) -> None:
        if self.cancelled:
            return
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class Queue(Generic[Item, Result]):
    """Serves one caller after another, and each in order of arrival.

    It holds at most `max_items` items; a caller that has a `share` of them adds nothing.
    """

    def __init__(self, max_items: int, share: float) -> None:
        self._max_items = max_items
        self._share = math.ceil(share * max_items)
        self._pending: RoundRobin[Pending[Item, Result]] = RoundRobin()
        self._changed = threading.Condition()
        self.closed = True

    def __len__(self) -> int:
        """Items whose callers still wait."""
        with self._changed:
            return _items(pending for pending in self._pending if not pending.cancelled)

    def open(self) -> None:
        self.closed = False

    def close(self) -> None:
        """Makes `take` return what waits, and then nothing."""
        with self._changed:
            self.closed = True
            self._changed.notify()

    def put(self, pending: Pending[Item, Result]) -> None:
        """Raises QueueFullError. Cancelled callers make room."""
        with self._changed:
            self._pending.keep(lambda other: not other.cancelled)
            own = _items(other for other in self._pending if other.caller == pending.caller)
            if _items([*self._pending, pending]) > self._max_items or own >= self._share:
                raise QueueFullError
            self._pending.add(pending.turns_as, pending)
            self._changed.notify()

    def take(self, items: int) -> list[Pending[Item, Result]]:
        """Waits for what is next, together at most so many items; one that has more comes alone.

        Drops cancelled callers, and gives DeadlineExceededError to those that are too late. Empty after `close`.
        """
        with self._changed:
            while not (batch := self._waiting(items)) and not self.closed:
                self._changed.wait()
            return batch

    def _waiting(self, room: int) -> list[Pending[Item, Result]]:
        batch: list[Pending[Item, Result]] = []
        now = time.monotonic()
        while self._pending and (not batch or len(self._pending.first().items) <= room):
            pending = self._pending.next()
            if pending.deadline < now:
                pending.resolve(DeadlineExceededError())
            elif not pending.cancelled:
                batch.append(pending)
                room -= len(pending.items)
        return batch


def _items(waiting: Iterable[Pending[Item, Result]]) -> int:
    return sum(len(pending.items) for pending in waiting)


class BatchFailedError(Exception):
    """The call on these items raised an exception, which is the cause."""


class StoppedError(Exception):
    """The inference thread is dead or hangs in a batch."""


class ClosedError(Exception):
    """The batcher accepts no more items."""


class Batcher(Generic[Item, Result]):
    """Runs `call` on batches, in one thread of its own, while its `async with` block lasts.

    `call` takes at most `max_batch` items, or all of one caller that has more, and gives one result for each, in their
    order. At most `max_waiting` items wait, and a caller that has a `share` of them adds nothing. A batch that has run
    for `stuck_after` seconds counts as hung.
    """

    def __init__(
        self,
        call: Callable[[list[Item]], Sequence[Result]],
        max_batch: int,
        max_waiting: int,
        share: float = 1.0,
        stuck_after: float = 10.0,
    ) -> None:
        self._call = call
        self._max_batch = max_batch
        self._queue: Queue[Item, Result] = Queue(max_waiting, share)
        self._stuck_after = stuck_after
        self._began = math.inf
        self._succeeded = -math.inf

    async def __aenter__(self) -> Self:
        self._queue.open()
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Refuses new items, finishes those that wait, then stops; a thread that hangs is left behind."""
        self._queue.close()
        await asyncio.to_thread(self._thread.join, self._stuck_after)

    @property
    def waiting(self) -> int:
        """Items that wait for their batch."""
        return len(self._queue)

    @property
    def proven(self) -> bool:
        """Whether a batch has succeeded within PROOF_SECONDS."""
        return time.monotonic() - self._succeeded < PROOF_SECONDS

    def check(self) -> None:
        """Raises ClosedError or StoppedError if an item submitted now would not be run."""
        if self._queue.closed:
            raise ClosedError
        if not self._thread.is_alive() or time.monotonic() - self._began > self._stuck_after:
            raise StoppedError

    async def submit(
        self, *items: Item, deadline: float = math.inf, caller: str = "", turns_as: str | None = None
    ) -> Batched[Result]:
        """Returns the results of the items, all from one batch. A cancelled caller costs no further work.

        Callers take turns; `turns_as`: for items that do not wait behind the caller's others, but are of its share.
        `deadline`, by `time.monotonic`: when the batch must have begun. Raises what `check` raises, QueueFullError,
        DeadlineExceededError, or BatchFailedError where the call raised.
        """
        self.check()
        answer: asyncio.Future[Batched[Result]] = asyncio.get_running_loop().create_future()
        pending = Pending(items, time.monotonic(), deadline, answer, caller, turns_as or caller)
        self._queue.put(pending)
        return await pending.answer

    def _work(self) -> None:
        give_way()
        while batch := self._queue.take(self._max_batch):
            self._run(batch)

    def _run(self, batch: list[Pending[Item, Result]]) -> None:
        items = [item for pending in batch for item in pending.items]
        self._began = started = time.monotonic()
        try:
            results = self._call(items)
            if len(results) != len(items):
                raise ValueError(f"{len(results)} results for {len(items)} items")
        except BaseException as error:  # also what would end the thread: the next batch finds it at work
            self._succeeded = -math.inf
            for pending in batch:
                pending.resolve(_failure(error))
            return
        finally:
            self._began = math.inf
        self._succeeded = time.monotonic()
        ran, rest = self._succeeded - started, iter(results)
        for pending in batch:
            pending.resolve(Batched(list(islice(rest, len(pending.items))), started - pending.since, ran))


def _failure(cause: BaseException) -> BatchFailedError:
    failure = BatchFailedError("the batch failed")
    failure.__cause__ = cause
    return failure
