"""Untrusted bytes to a bounded RGB array, in disposable child processes; knows no HTTP and no face.

A child that crashes, hangs or wants too much costs one picture: it is ended and replaced. Children never load torch.
"""

import asyncio
import multiprocessing
import resource
from collections.abc import Callable
from concurrent.futures import TimeoutError as TooLongError
from typing import Self, TypeVar

from pebble import ProcessExpired, ProcessPool

from model.images import CorruptImage, ImageLimits, WorkingCopy, working_copy

T = TypeVar("T")

_MEMORY_BYTES = 2**30
_CPU_SECONDS = 5
_WALL_SECONDS = 3
_TRIES = 3


class ChildLostError(Exception):
    """No child answered: it crashed, hung, or could not be started."""


class Decoders:
    """As many children as asked for, while its `with` block lasts."""

    def __init__(self, limits: ImageLimits, processes: int) -> None:
        self._limits = limits
        self._processes = processes

    def __enter__(self) -> Self:
        self._pool = self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()

    async def decode(self, data: bytes) -> WorkingCopy:
        """One picture. Raises what `model.images.working_copy` raises; CorruptImage where a child was lost over it."""
        try:
            return await self._ask(_decode, data, self._limits)
        except ChildLostError as error:
            raise CorruptImage from error

    async def check(self) -> None:
        """Raises ChildLostError where no child answers."""
        await self._ask(_nothing)

    async def _ask(self, work: Callable[..., T], *arguments: object) -> T:
        for _ in range(_TRIES):
            pool = self._pool
            try:
                future = pool.schedule(work, args=arguments, timeout=_WALL_SECONDS)
                # A caller that leaves takes no child with it.
                return await asyncio.shield(asyncio.wrap_future(future))
            except (ProcessExpired, TooLongError) as error:
                raise ChildLostError from error
            except RuntimeError:
                self._replace(pool)
        raise ChildLostError

    def _start(self) -> ProcessPool:
        # Forked from a server that has loaded what decoding needs and no more: a new child costs milliseconds, and
        # inherits neither the service's threads nor its memory.
        children = multiprocessing.get_context("forkserver")
        children.set_forkserver_preload([__name__])
        pool = ProcessPool(self._processes, initializer=_confine, context=children)
        pool.schedule(_nothing)
        return pool

    def _replace(self, broken: ProcessPool) -> None:
        # Pebble gives up a pool whose child is killed while all are idle; the pictures that waited are not at fault.
        if self._pool is broken:
            self._pool = self._start()
            broken.stop()  # type: ignore[no-untyped-call]


def _confine() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _decode(data: bytes, limits: ImageLimits) -> WorkingCopy:
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + 1 + _CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
    return working_copy(data, limits)


def _nothing() -> None:
    """Has a child ready before the first picture comes, or shows that one answers."""
