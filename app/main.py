"""Composition root: settings and a bundle to the service."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version

import uvicorn
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from app import errors, openapi
from app.batching import Batcher
from app.decoding import decoder
from app.finding import Finding
from app.gate import Gate
from app.routes import router
from app.settings import Settings, SettingsError, read_settings
from app.verifier import Verifier
from model import bundle
from model.bundle import BundleError
from model.decision import Policy
from model.embedder import Embedder, Embedding, SelfTestError
from model.faces import Crop

DESCRIPTION = """Do two photos show the same person? Every answer says at which measured error rate it decides.

**No liveness detection**: a photo of a photo matches. Nothing is stored. Embeddings are biometric data.
"""
_DRAIN_SECONDS = 25
_MAX_HEADER_BYTES = 16 * 1024


def open_engine(settings: Settings) -> Embedder:
    """The bundle that the settings name, loaded and tested. Raises BundleError or SelfTestError."""
    threads = max(1, settings.cores // 2)  # the other half finds the faces of the next batch
    embedder = Embedder(bundle.load(bundle.find(settings.bundle)), settings.device, threads)
    embedder.self_test()
    return embedder


def create_app(settings: Settings, open_engine: Callable[[Settings], Embedder] = open_engine) -> FastAPI:
    """The service, ready to run. Raises BundleError or SelfTestError where the bundle cannot be served."""
    engine = open_engine(settings)
    batcher: Batcher[Crop, Embedding] = Batcher(
        lambda crops: list(engine.embed(crops)), settings.max_batch, settings.max_waiting
    )
    policy = Policy(engine.manifest, settings.fmr)
    finding = Finding(engine.faces, settings.cores)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with finding:
            async with batcher:
                yield

    service = FastAPIOffline(
        redoc_url=None, title="Facepair", version=version("facepair"), description=DESCRIPTION, lifespan=lifespan
    )
    service.state.settings = settings
    service.state.verifier = Verifier(engine.manifest, policy, decoder(settings.image_limits), finding.find, batcher)
    service.include_router(router)
    service.add_middleware(Gate, max_body_bytes=settings.max_body_bytes)
    errors.install(service)
    openapi.add_problem(service)
    return service


def build() -> FastAPI:
    """For `uvicorn --factory app.main:build`."""
    with _one_line_errors():
        return create_app(read_settings())


def serve() -> None:
    """For the command `facepair`: serves on the address of the settings until told to stop."""
    with _one_line_errors():
        settings = read_settings()
        service = create_app(settings)
    uvicorn.run(
        service,
        host=settings.host,
        port=settings.port,
        server_header=False,
        h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except (SettingsError, BundleError, SelfTestError) as error:
        sys.exit(f"facepair: {error}")
