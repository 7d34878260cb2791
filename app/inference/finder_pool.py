"""Finds the face in a picture in threads, off the event loop; knows nothing of how a face is found."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Self, TypeVar

from app.inference.turns import Turns
from model.engines.priority import give_way
from model.faces.face import Face, FaceFinder, face_in, faces_in
from model.images import WorkingCopy

T = TypeVar("T")

_PIECE = 8
"""Faces of a group that a thread works out in one go, within 50 ms."""


class FinderPool:
    """Searches as many pictures at a time as it has threads, while its `with` block lasts."""

    def __init__(self, finder: FaceFinder, threads: int) -> None:
        self._finder = finder
        self._pool = ThreadPoolExecutor(threads, "find", give_way)
        self.places = Turns(range(2 * threads))
        """Whoever searches has one. A thread that is done finds another picture, however busy the event loop is."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    async def find(self, picture: WorkingCopy) -> Face:
        """The face that counts. Raises NoFaceFound. It ends when no thread has the picture, whoever leaves."""
        return await self._run(lambda: face_in(picture, self._finder))

    async def find_all(self, picture: WorkingCopy, most: int) -> tuple[Face, ...]:
        """As `find`, for the largest faces, at most so many. In pieces, between which others' pictures are searched."""
        faces = faces_in(picture, self._finder, most)
        found: list[Face] = []
        while piece := await self._run(lambda: tuple(islice(faces, _PIECE))):
            found += piece
        return tuple(found)

    async def _run(self, work: Callable[[], T]) -> T:
        done = asyncio.get_running_loop().run_in_executor(self._pool, work)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            await asyncio.gather(done, return_exceptions=True)
            raise
