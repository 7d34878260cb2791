"""Items of many callers in, one blocking call a batch, results or errors out; knows no HTTP, no tensor and no face.

There is no timer: whatever waits while one batch runs is the next batch. The inference thread takes it by itself, so
that it never stands idle because the event loop is busy.
"""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


PROOF_SECONDS = 1.0
"""For so long what was just done shows that more can be done: whoever is busy need not be asked."""


class QueueFullError(Exception):
    """Too much is waiting already; nothing was done, and trying again later is safe."""


class DeadlineExceededError(Exception):
    """The caller's time was up before its batch began; nothing was done, and trying again later is safe."""


@dataclass(frozen=True)
class Batched(Generic[Result]):
    """One result for each item, with the seconds that the items waited and that their batch ran."""

    values: Sequence[Result]
    waited: float
    ran: float


@dataclass(frozen=True)
class Job(Generic[Item, Result]):
    """What one caller submitted: admitted, run and answered as one. Times are those of `time.monotonic`."""

    items: tuple[Item, ...]
    since: float
    deadline: float
    answer: asyncio.Future[Batched[Result]]

    @property
    def departed(self) -> bool:
        return self.answer.done()

    def settle(self, outcome: Batched[Result] | Exception) -> None:
        """Answers the caller, if it is still there; may be called from any thread."""
        self.answer.get_loop().call_soon_threadsafe(self._settle, outcome)

    def _settle(self, outcome: Batched[Result] | Exception) -> None:
        if self.departed:
            return
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class Queue(Generic[Item, Result]):
    """First come, first served; never more than `max_items` of them."""

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items
        self._jobs: deque[Job[Item, Result]] = deque()
        self._changed = threading.Condition()
        self.closed = True

    def __len__(self) -> int:
        """Items whose callers still wait."""
        with self._changed:
            return sum(len(job.items) for job in self._jobs if not job.departed)

    def open(self) -> None:
        self.closed = False

    def close(self) -> None:
        """Lets `take` come to an end, once it has given what waits."""
        with self._changed:
            self.closed = True
            self._changed.notify()

    def put(self, job: Job[Item, Result]) -> None:
        """Raises QueueFullError. Departed callers make room."""
        with self._changed:
            self._jobs = deque(other for other in self._jobs if not other.departed)
            if sum(len(each.items) for each in (*self._jobs, job)) > self._max_items:
                raise QueueFullError
            self._jobs.append(job)
            self._changed.notify()

    def take(self, items: int) -> list[Job[Item, Result]]:
        """Waits for the next jobs, together of at most so many items; one that has more comes alone. Empty at the end.

        Jobs of departed callers are dropped, and those whose deadline has passed are told so.
        """
        with self._changed:
            while not (batch := self._waiting(items)) and not self.closed:
                self._changed.wait()
            return batch

    def _waiting(self, room: int) -> list[Job[Item, Result]]:
        batch: list[Job[Item, Result]] = []
        now = time.monotonic()
        while self._jobs and (not batch or len(self._jobs[0].items) <= room):
            job = self._jobs.popleft()
            if job.deadline < now:
                job.settle(DeadlineExceededError())
            elif not job.departed:
                batch.append(job)
                room -= len(job.items)
        return batch


class BatchFailedError(Exception):
    """The call that held these items raised; the cause is attached."""


class StoppedError(Exception):
    """The inference thread is dead, or hangs in a batch."""


class ClosedError(Exception):
    """The batcher takes nothing more."""


class Batcher(Generic[Item, Result]):
    """Runs `call` on batches, in one thread of its own, while its `async with` block lasts.

    `call` takes at most `max_batch` items, or all of one caller that has more, and gives one result for each, in their
    order. At most `max_waiting` items wait. A batch that takes `stuck_after` seconds is taken for one that never ends.
    """

    def __init__(
        self,
        call: Callable[[list[Item]], Sequence[Result]],
        max_batch: int,
        max_waiting: int,
        stuck_after: float = 10.0,
    ) -> None:
        self._call = call
        self._max_batch = max_batch
        self._queue: Queue[Item, Result] = Queue(max_waiting)
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
        """Whether a batch came to a good end just now."""
        return time.monotonic() - self._succeeded < PROOF_SECONDS

    def check(self) -> None:
        """Raises ClosedError or StoppedError where nothing submitted now would be done."""
        if self._queue.closed:
            raise ClosedError
        if not self._thread.is_alive() or time.monotonic() - self._began > self._stuck_after:
            raise StoppedError

    async def submit(self, *items: Item, deadline: float = math.inf) -> Batched[Result]:
        """The results of the items, all from one batch. A caller that is cancelled costs no further work.

        `deadline`, by `time.monotonic`: when the batch must have begun. Raises what `check` raises, QueueFullError,
        DeadlineExceededError, or BatchFailedError where the call raised.
        """
        self.check()
        job: Job[Item, Result] = Job(items, time.monotonic(), deadline, asyncio.get_running_loop().create_future())
        self._queue.put(job)
        return await job.answer

    def _work(self) -> None:
        while batch := self._queue.take(self._max_batch):
            self._run(batch)

    def _run(self, batch: list[Job[Item, Result]]) -> None:
        items = [item for job in batch for item in job.items]
        self._began = started = time.monotonic()
        try:
            results = self._call(items)
            if len(results) != len(items):
                raise ValueError(f"{len(results)} results for {len(items)} items")
        except BaseException as error:  # also what would end the thread: the next batch finds it at work
            self._succeeded = -math.inf
            for job in batch:
                job.settle(_failure(error))
            return
        finally:
            self._began = math.inf
        self._succeeded = time.monotonic()
        ran, rest = self._succeeded - started, iter(results)
        for job in batch:
            job.settle(Batched(list(islice(rest, len(job.items))), started - job.since, ran))


def _failure(cause: BaseException) -> BatchFailedError:
    failure = BatchFailedError("the batch failed")
    failure.__cause__ = cause
    return failure
