"""Untrusted bytes to a bounded RGB array, in disposable child processes; knows no HTTP and no face.

A child that crashes, hangs or wants too much costs one picture: it is ended and replaced. Children never load torch.
"""

import asyncio
import math
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLongError
from concurrent.futures.process import BrokenProcessPool
from typing import Self, TypeVar

from pebble import ProcessExpired, ProcessPool

from app.inference import decoder_process
from app.inference.batching import PROOF_SECONDS
from app.inference.decoder_process import ChildLimits
from model.images import CorruptImage, ImageLimits, WorkingCopy

T = TypeVar("T")

_START_SECONDS = 3
_TRIES = 3
_LOST = (ProcessExpired, TooLongError, BrokenProcessPool)


class ChildLostError(Exception):
    """No child answered: it crashed, hung, or could not be started."""


class Decoders:
    """As many children as asked for, while its `with` block lasts.

    Each is in a pool of its own, so that one that dies with a lock in its hands locks out nobody else.
    """

    def __init__(self, limits: ImageLimits, processes: int, child: ChildLimits | None = None) -> None:
        self._limits = limits
        self._processes = processes
        self._child = child or ChildLimits()
        self._answered = -math.inf

    def __enter__(self) -> Self:
        self._pools = {_new_pool(self._child) for _ in range(self._processes)}
        self._unused: set[ProcessPool] = set()
        self._idle: asyncio.Queue[ProcessPool] = asyncio.Queue()
        for pool in self._pools:
            self._schedule(pool, decoder_process.nothing, ())  # has a child ready before the first picture comes
            self._idle.put_nowait(pool)
        return self

    def __exit__(self, *_: object) -> None:
        for pool in self._pools:
            _end(pool)

    async def decode(self, data: bytes) -> WorkingCopy:
        """One picture. Raises what `model.images.working_copy` raises; CorruptImage where a child was lost over it."""
        try:
            return await self._ask(decoder_process.decode, data, self._limits, self._child.cpu_seconds)
        except ChildLostError as error:
            raise CorruptImage from error

    async def check(self) -> None:
        """Raises ChildLostError where no child answers. One that just did is not asked again: it may be busy."""
        if time.monotonic() - self._answered > PROOF_SECONDS:
            await self._ask(decoder_process.nothing)

    async def _ask(self, work: Callable[..., T], *arguments: object) -> T:
        for _ in range(_TRIES):
            pool = await self._idle.get()  # a caller that leaves before its turn costs no work
            try:
                # A caller that leaves later takes no child with it.
                return await asyncio.shield(asyncio.create_task(self._run(pool, work, arguments)))
            except BrokenProcessPool:
                continue  # the child was lost between two pictures: this one is not at fault
        raise ChildLostError

    async def _run(self, pool: ProcessPool, work: Callable[..., T], arguments: tuple[object, ...]) -> T:
        lost = True
        try:
            task = await self._scheduled(pool, work, arguments)
            answer = asyncio.wrap_future(task)
            # Pebble's own limit begins when the child says that it has the picture, which a dead one never does.
            await asyncio.wait([answer], timeout=_START_SECONDS)
            if not (answer.done() or task.running()):
                raise BrokenProcessPool
            await asyncio.wait([answer], timeout=self._child.wall_seconds)
            lost = not answer.done() or isinstance(answer.exception(), _LOST)
            if not answer.done():
                raise ChildLostError
            self._answered = -math.inf if lost else time.monotonic()
            return answer.result()
        except (ProcessExpired, TooLongError) as error:
            raise ChildLostError from error
        finally:
            if lost:
                self._pools.remove(pool)
                asyncio.get_running_loop().run_in_executor(None, _end, pool)
                self._pools.add(pool := _new_pool(self._child))
                self._unused.add(pool)
            self._idle.put_nowait(pool)

    async def _scheduled(self, pool: ProcessPool, work: Callable[..., T], arguments: tuple[object, ...]) -> "Future[T]":
        if pool not in self._unused:
            return self._schedule(pool, work, arguments)
        self._unused.remove(pool)
        # In a thread: it starts a child now, and where the server of children was lost, that one too.
        return await asyncio.to_thread(self._schedule, pool, work, arguments)

    def _schedule(self, pool: ProcessPool, work: Callable[..., T], arguments: tuple[object, ...]) -> "Future[T]":
        try:
            return pool.schedule(work, args=arguments, timeout=self._child.wall_seconds)
        except RuntimeError as error:  # it has noticed already that its child is gone
            raise BrokenProcessPool from error


def _new_pool(limits: ChildLimits) -> ProcessPool:
    # Forked from a server that has loaded what decoding needs and no more: a new child costs milliseconds, and
    # inherits neither the service's threads nor its memory.
    children = multiprocessing.get_context("forkserver")
    children.set_forkserver_preload([decoder_process.__name__])
    return ProcessPool(1, initializer=decoder_process.confine, initargs=(limits.memory_bytes,), context=children)


def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()
