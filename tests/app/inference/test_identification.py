"""A search holds what was written before its request, and looks for it while the face is embedded."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
import recognising
from galleries import enrol, vector

from app.gallery.gallery import Gallery, open_database, open_gallery
from app.gallery.records import GalleryUnavailable, Limits
from app.gallery.sealing import Sealing
from app.inference.gathered_search import GatheredSearch
from app.inference.identification import Identifier
from app.inference.in_threads import InThreads
from app.inference.verifier import Embedded, RefusedImageError, Timings, Verifier
from model import bundle
from model.faces.face import Face
from model.search import SearchPolicy

pytestmark = pytest.mark.anyio
CONTRACT = "sha256:ours"


@dataclass(frozen=True)
class Embeds:
    """A verifier that embeds the same face as soon as `ready` returns, and keeps it."""

    ready: Callable[[], Awaitable[object]]
    embedded: list[Embedded]

    async def embed(self, _: bytes, __: float, ___: str) -> Embedded:
        await self.ready()
        self.embedded.append(Embedded(vector(1), cast("Face", None), Timings(0, 0, 0, 0)))
        return self.embedded[-1]


class Asked:
    """A gallery, and how it is asked; while `gate` is shut, its database does not answer."""

    def __init__(self, gallery: Gallery, policy: SearchPolicy, threads: InThreads) -> None:
        self.gallery = gallery
        self.gate = threading.Event()
        self.gate.set()
        self.reading = asyncio.Event()
        self.embedded: list[Embedded] = []
        self._policy = policy
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._refresh = gallery.index.refresh
        gallery.index.refresh = self.refresh  # type: ignore[method-assign]

    def refresh(self) -> None:
        self._loop.call_soon_threadsafe(self.reading.set)
        assert self.gate.wait(60)
        self._refresh()

    async def identify(self, ready: Callable[[], Awaitable[object]]) -> str | None:
        """Whom the search found nearest."""
        verifier, search = (
            cast("Verifier", Embeds(ready, self.embedded)),
            GatheredSearch(self.gallery.index, self._threads),
        )
        identifier = Identifier(verifier, self.gallery, self._policy, 0.1, self._threads, search)
        async with asyncio.timeout(60):
            found = await identifier.identify(b"", 0, "anna", None, 1)
        return found.matches[0].person_id if found.matches else None


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    manifest = bundle.load(recognising.save_bundle(tmp_path / "recogniser")).manifest
    assert manifest.calibration is not None
    database = open_database(f"sqlite:///{tmp_path / 'gallery.db'}")
    gallery = open_gallery(database, Sealing(bytes(32)), CONTRACT, len(vector(1)), Limits())
    threads = InThreads(2)
    yield Asked(gallery, SearchPolicy(manifest.calibration), threads)
    threads.close()
    gallery.close()


async def at_once() -> None:
    """Embeds in no time."""


async def test_what_was_written_is_looked_for_while_the_face_is_embedded(asked: Asked) -> None:
    enrol(asked.gallery, "E1", 1)
    assert await asked.identify(asked.reading.wait) == "E1"


async def test_a_search_waits_until_memory_is_as_new_as_its_request(asked: Asked) -> None:
    asked.gate.clear()
    searching = asyncio.create_task(asked.identify(at_once))
    await asked.reading.wait()
    enrol(asked.gallery, "E1", 1)
    await asyncio.sleep(0.01)
    assert not searching.done()
    asked.gate.set()
    assert await searching == "E1"


async def test_a_picture_is_refused_although_the_database_hangs(asked: Asked) -> None:
    async def refuse() -> None:
        raise RefusedImageError("image")

    asked.gate.clear()
    with pytest.raises(RefusedImageError):
        await asked.identify(refuse)
    asked.gate.set()


async def test_a_database_that_is_gone_is_told_once_the_face_is_embedded(asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "gallery.db").rename(tmp_path / "away.db")
    with pytest.raises(GalleryUnavailable):
        await asked.identify(asked.reading.wait)
    (tmp_path / "away.db").rename(tmp_path / "gallery.db")
    assert await asked.identify(at_once) is None


async def test_the_embedding_is_wiped_also_where_nothing_was_searched(asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "gallery.db").rename(tmp_path / "away.db")
    with pytest.raises(GalleryUnavailable):
        await asked.identify(at_once)
    [embedded] = asked.embedded
    assert not embedded.embedding.any()
