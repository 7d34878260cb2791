"""Items of many callers in, one blocking call a batch, results or errors out; knows no HTTP, no tensor and no face.

There is no timer: whatever waits while one batch runs is the next batch. The inference thread takes it by itself, so
that it never stands idle because the event loop is busy.
"""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Generic, Self

from app.jobs import PROOF_SECONDS, Batched, Item, Job, Queue, Result


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
