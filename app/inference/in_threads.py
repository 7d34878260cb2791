"""Blocking calls off the event loop, in threads of their own: a database that hangs holds up nothing else."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class InThreads:
    """At most so many at a time; the others wait."""

    def __init__(self, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, "gallery")

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def close(self) -> None:
        self._executor.shutdown(cancel_futures=True)
