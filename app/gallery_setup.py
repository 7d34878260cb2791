"""Opens the gallery that the settings name and puts it behind the routes of people; no route knows how."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from threadpoolctl import threadpool_limits

from app import logs, people, photos, searches
from app.gallery.expiry import Expiry
from app.gallery.gallery import Gallery, open_database, open_gallery
from app.gallery.records import GalleryUnavailable, Limits
from app.gallery.sealing import read_master_key
from app.inference.enrolment import Enrolment
from app.inference.gathered_search import GatheredSearch
from app.inference.identification import Identifier
from app.inference.in_threads import InThreads
from app.inference.self_test import SelfTests
from app.inference.verifier import Verifier
from app.settings import Settings
from model.manifest import Manifest, contract_id
from model.search import SearchPolicy

_log = logging.getLogger("facepair")
_THREADS = 4
_SWEEP_SECONDS = 30.0


def open_from(settings: Settings, manifest: Manifest) -> Gallery | None:
    """None where the settings name no gallery. Raises GalleryError, GalleryUnavailable."""
    if settings.gallery is None:
        return None
    master = read_master_key(settings.gallery_key_file)
    limits = Limits(settings.max_people, settings.max_photos)
    database = open_database(settings.gallery)
    try:
        return open_gallery(database, master, contract_id(manifest), manifest.embedding_size, limits)
    except BaseException:
        database.close()
        raise


def add_routes(service: FastAPI) -> None:
    service.include_router(people.router)
    service.include_router(photos.router)
    service.include_router(searches.router)


def install(service: FastAPI, gallery: Gallery, verifier: Verifier, settings: Settings) -> None:
    """Puts everything that the routes of people ask for behind them."""
    calibration = verifier.manifest.calibration
    assert calibration is not None  # noqa: S101 - the verifier's policy has seen to that
    policy, threads = SearchPolicy(calibration), InThreads(_THREADS)
    threadpool_limits(1, user_api="blas")  # a search's threads would wait for cores on which others embed
    service.state.gallery = gallery
    service.state.threads = threads
    service.state.enrolment = Enrolment(verifier, gallery, policy, settings.fpir, threads)
    service.state.identifier = Identifier(
        verifier, gallery, policy, settings.fpir, threads, GatheredSearch(gallery.index, threads)
    )
    service.state.self_tests = SelfTests()


@asynccontextmanager
async def running(service: FastAPI) -> AsyncIterator[None]:
    """Erases whoever's time is over while the block lasts; closes the gallery at its end."""
    gallery, threads = service.state.gallery, service.state.threads
    sweeper = asyncio.create_task(_sweep(gallery, threads))
    try:
        yield
    finally:
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper
        threads.close()
        gallery.close()


async def _sweep(gallery: Gallery, threads: InThreads) -> None:
    expiry = Expiry(gallery.register)
    while True:
        try:
            await threads.run(gallery.register.database.tidy)
            for receipt in await threads.run(expiry.sweep):
                _log.info("a person's time was over: erased", extra={"fields": {"audit_id": receipt.audit_id}})
            await threads.run(gallery.index.counts)  # whoever was erased, here or elsewhere, leaves this memory as well
            await threads.run(gallery.index.recount)
        except GalleryUnavailable as error:  # who asks about people is not told why
            _log.warning("the gallery cannot be tended now: %s", error)
        except Exception as error:  # a fault over one person must not keep the others for ever
            logs.fault("", error)
        await asyncio.sleep(_SWEEP_SECONDS)
