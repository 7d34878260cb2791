"""Untrusted bytes to a bounded RGB array, in disposable child processes; knows no HTTP and no face.

A child that crashes, hangs or wants too much costs one picture: it is ended and replaced. Children never load torch.
"""

import asyncio
import math
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Self, TypeVar

from app.inference.decoder_child import Child, EndedError, LostError, NotBegunError, Server
from app.inference.decoder_process import ChildLimits
from app.inference.turns import Turns
from model.images import CorruptImage, ImageLimits, TooExpensive, UnsupportedFormat, WorkingCopy

T = TypeVar("T")

_TRIES = 3
_START_SECONDS = 3.0
_CHECK_SECONDS = 1.0
_LIGHT_SECONDS = 0.1
"""Pictures estimated to take longer never occupy all children."""
_TOO_MUCH = (signal.SIGPROF, signal.SIGKILL)
"""What ends a child whose processor time is used up, and one for which a container has no memory."""


class NoChildError(Exception):
    """No child could be started, or none answers. Nothing was done, and trying again later is safe."""


class DecodingTimeoutError(Exception):
    """The machine is busy: a picture's time was up before it had its share of the processor. Trying again is safe."""


class _Place:
    """Where one child stands. A child that is lost is replaced at once."""

    child: "asyncio.Task[Child]"

    @property
    def working(self) -> bool:
        return self.child.done() and not self.child.exception() and self.child.result().working


class DecoderPool:
    """As many children as asked for, while its `async with` block lasts; callers take turns.

    All but one take pictures that are heavy to decode, so that light ones never wait for heavy ones alone.
    Files have at most `file_bytes`.
    """

    def __init__(
        self, limits: ImageLimits, processes: int, child: ChildLimits | None = None, file_bytes: int = 10 * 2**20
    ) -> None:
        self._limits = limits
        self._child = child or ChildLimits()
        self._file_bytes = file_bytes
        self._places = [_Place() for _ in range(processes)]

    async def __aenter__(self) -> Self:
        self._server: Server | None = None
        self._starting = asyncio.Lock()
        self._tasks: set[asyncio.Task[object]] = set()
        self._turns = Turns(self._places)
        self._heavy_turns = Turns(range(max(1, len(self._places) - 1)))
        for place in self._places:
            self._fill(place)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for place in self._places:
            if not place.child.cancelled() and not place.child.exception():
                place.child.result().end()
        if self._server:
            self._server.close()

    @asynccontextmanager
    async def decoded(self, data: bytes, caller: str = "") -> AsyncIterator[WorkingCopy]:
        """One picture. Its child decodes no other while the block lasts, so that few pictures wait in memory.

        A caller that leaves before its turn costs no work, and later takes no child with it.

        Raises what `model.images.working_copy` raises; CorruptImage also where the child crashed, and TooExpensive
        where the processor time for a picture or the machine's memory was used up; DecodingTimeoutError; NoChildError.
        """
        async with AsyncExitStack() as held:
            try:
                place = await self._turns.take(caller)
                picture = await held.enter_async_context(self._use(place, data, _LIGHT_SECONDS))
            except NotBegunError:
                heavy = await self._heavy_turns.take(caller)
                try:
                    place = await self._turns.take(caller)
                except asyncio.CancelledError:
                    self._heavy_turns.give(heavy)
                    raise
                use = self._use(place, data, finished=lambda: self._heavy_turns.give(heavy))
                picture = await held.enter_async_context(use)
            yield picture

    async def check(self) -> None:
        """Raises NoChildError where no child answers. One that is busy within its time is alive: it is not asked."""
        for _ in self._places:
            if place := self._turns.take_free():
                with suppress(DecodingTimeoutError, CorruptImage, TooExpensive):
                    try:
                        async with self._use(place, b"", wall_seconds=_CHECK_SECONDS):
                            return
                    except UnsupportedFormat:  # which an empty file is
                        return
            elif any(place.working for place in self._places):
                return
            else:
                await asyncio.shield(self._places[0].child)
                return
        raise NoChildError

    def _fill(self, place: _Place) -> None:
        place.child = self._task(self._started(place))

    def _task(self, work: Coroutine[object, None, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # whoever waits is told; if anybody
        return task

    async def _started(self, place: _Place) -> Child:
        """Three tries, each with a new server where the last one failed to start a child."""
        for _ in range(_TRIES):
            try:
                async with self._starting:
                    server = self._server = self._server or await Server.start(self._limits, self._child)
            except OSError:
                continue
            try:
                child = await server.child(self._limits, self._file_bytes)
            except OSError:
                self._close(server)
                continue
            try:
                await _greet(child)
            except (OSError, LostError):
                continue  # no fault of the server: to end it would take the other places' new children as well
            child.on_end = partial(self._replace, place, child)
            return child
        if self._server:
            self._close(self._server)
        raise NoChildError

    def _close(self, server: Server) -> None:
        server.close()
        if self._server is server:
            self._server = None

    def _replace(self, place: _Place, child: Child) -> "asyncio.Task[int | None]":
        """Ends a child, and gives the signal that ended it, if known: this one, where it had not ended by itself."""
        child.end()
        self._fill(place)
        return self._task(self._ended_by(child))

    async def _ended_by(self, child: Child) -> int | None:
        return await self._server.ended_by(child.pid) if self._server else None

    @asynccontextmanager
    async def _use(
        self,
        place: _Place,
        data: bytes,
        most_seconds: float = math.inf,
        finished: Callable[[], None] = lambda: None,
        wall_seconds: float | None = None,
    ) -> AsyncIterator[WorkingCopy]:
        """What the child in this place makes of a picture. The place is given back once child and block are done."""
        work = self._task(self._ask(place, data, most_seconds, wall_seconds or self._child.wall_seconds))
        work.add_done_callback(lambda _: finished())
        try:
            yield await asyncio.shield(work)
        finally:
            work.add_done_callback(lambda _: self._turns.give(place))

    async def _ask(self, place: _Place, data: bytes, most_seconds: float, wall_seconds: float) -> WorkingCopy:
        for _ in range(_TRIES):
            if place.child.done() and place.child.exception():
                self._fill(place)  # it could not be started then
            child = await asyncio.shield(place.child)
            try:
                return await child.ask(data, most_seconds, wall_seconds)
            except ConnectionError:  # it ended before it had the picture, which is not at fault
                self._replace(place, child)
            except TimeoutError as error:
                self._replace(place, child)
                raise DecodingTimeoutError from error
            except LostError as error:
                ended_by = await self._replace(place, child)
                if ended_by is None:  # whether the picture was at fault nobody knows: it is tried again
                    continue
                took_too_much = isinstance(error, EndedError) and ended_by in _TOO_MUCH
                raise (TooExpensive if took_too_much else CorruptImage) from error
        raise NoChildError


async def _greet(child: Child) -> None:
    """Raises what `ask` raises where a child does not answer, and ends it."""
    try:
        await child.ask(b"", math.inf, _START_SECONDS)
    except UnsupportedFormat:  # which an empty file is
        return
    except BaseException:
        child.end()
        raise
