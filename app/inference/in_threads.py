"""Blocking calls off the event loop, in threads of their own: a database that hangs holds up nothing else."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from app.inference.turns import Turns

T = TypeVar("T")


class InThreads:
    """Short calls, so many at a time; the others wait. Changes and long calls have a thread each besides."""

    def __init__(self, threads: int) -> None:
        self._short = ThreadPoolExecutor(threads, "gallery")
        self._long = ThreadPoolExecutor(1, "gallery-long")  # more would take the interpreter from the event loop
        self._changes = ThreadPoolExecutor(1, "gallery-changes")  # a store does one at a time
        self._turns = Turns([self._long])
        self._changing = Turns([self._changes])

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._short, work)

    async def run_long(self, work: Callable[[], T], caller: str) -> T:
        """As run, for what takes more than milliseconds: one caller's after another's, however many each has."""
        async with self._turns.lent(caller) as thread:
            return await asyncio.get_running_loop().run_in_executor(thread, work)

    async def change(self, work: Callable[[], T], caller: str) -> T:
        """As run, callers in turn. Whoever is cancelled: the change was not begun, or it is finished and its result
        given all the same.

        "Nothing was done" is then true of what is refused, and no receipt is lost. It is for requests, whose end is
        near: who goes on for ever would never hear that it was cancelled.
        """
        async with self._changing.lent(caller) as thread:
            change = thread.submit(work)
            done = asyncio.wrap_future(change)
            while True:
                try:
                    return await asyncio.shield(done)
                except asyncio.CancelledError:
                    if change.cancel():
                        raise

    def close(self) -> None:
        for executor in (self._short, self._long, self._changes):
            executor.shutdown(cancel_futures=True)
