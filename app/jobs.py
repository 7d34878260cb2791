"""What waits for a batch: a bounded queue of jobs between an event loop and a thread; knows not what they are."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

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
