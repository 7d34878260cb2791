"""Finds the face in a picture in threads, off the event loop; knows nothing of how a face is found."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from model.engines.priority import give_way
from model.faces.face import Face, FaceFinder, face_in, faces_in
from model.images import WorkingCopy


class FinderPool:
    """Searches as many pictures at a time as it has threads, while its `with` block lasts."""

    def __init__(self, finder: FaceFinder, threads: int) -> None:
        self._finder = finder
        self._pool = ThreadPoolExecutor(threads, "find", give_way)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    async def find(self, picture: WorkingCopy) -> Face:
        """The face that counts. Raises NoFaceFound. A caller that leaves before its turn costs no work."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, face_in, picture, self._finder)

    async def find_all(self, picture: WorkingCopy, most: int) -> tuple[Face, ...]:
        """As `find`, for the largest faces, at most so many."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, faces_in, picture, self._finder, most)
