"""Composition root: settings and a bundle to the service."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from importlib.metadata import version

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from app import errors, gallery_setup, logs, openapi, operations, page, server
from app.admission import SHARE, Admission
from app.gallery.records import GalleryError, GalleryUnavailable
from app.gate import PUBLIC_PATHS, Gate, is_public
from app.in_pieces import InPieces
from app.inference.batching import Batcher
from app.inference.decoder_pool import DecoderPool
from app.inference.finder_pool import FinderPool
from app.inference.turns import Turns
from app.inference.verifier import Verifier
from app.keys import Keys, KeysError, read_keys
from app.metrics import Metrics
from app.records import recorder
from app.routes import router
from app.settings import Settings, SettingsError, read_settings
from model import bundle
from model.decision import Policy
from model.embedding.embedder import Embedder, Embedding, SelfTestError
from model.engines import EngineError
from model.faces.face import Crop
from model.manifest import BundleError

DESCRIPTION = """Do two photos show the same person? Every answer states the measured error rate that it was decided at.

The service has **no liveness detection**: a photo of a photo matches. {kept} Embeddings are biometric data.
"""
_KEEPS_NOTHING = "It stores nothing."
_KEEPS_PEOPLE = (
    "It keeps no photo; of enrolled people it keeps embeddings and what you say of them, encrypted, until they are "
    "erased."
)

START_ERRORS = (
    SettingsError,
    GalleryError,
    GalleryUnavailable,
    KeysError,
    BundleError,
    EngineError,
    SelfTestError,
)
"""What is wrong with a setting, a file or a database that the service starts with; each message is one line."""


def open_engine(settings: Settings) -> Embedder:
    """The bundle that the settings name, loaded and tested. Raises one of START_ERRORS."""
    embedder = Embedder(bundle.load(bundle.find(settings.bundle)), settings.device, settings.cores, settings.engine)
    embedder.self_test()
    return embedder


def create_app(settings: Settings, open_engine: Callable[[Settings], Embedder] = open_engine) -> FastAPI:
    """The service, ready to run. Raises one of START_ERRORS."""
    keys = Keys(read_keys(settings.api_keys_file) if settings.api_keys_file else {}, settings.allow_keyless)
    engine = open_engine(settings)
    gallery = gallery_setup.open_from(settings, engine.manifest)

    def embed(crops: list[Crop]) -> list[Embedding]:
        metrics.batch(len(crops))
        return list(engine.embed(crops))

    batcher: Batcher[Crop, Embedding] = Batcher(embed, settings.max_batch, settings.max_waiting, SHARE)
    admission = Admission(settings.max_in_flight, settings.max_in_flight_bytes)
    metrics = Metrics(engine.manifest, lambda: batcher.waiting, lambda: admission.in_flight)
    policy = Policy(engine.manifest, settings.fmr)
    decoders = DecoderPool(settings.image_limits, settings.decoders, settings.child_limits, settings.max_file_bytes)
    finders = FinderPool(engine.faces, settings.cores)

    async def check() -> None:
        await verifier.check()
        await decoders.check()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with finders:
            async with decoders, batcher, gallery_setup.running(service) if gallery else nullcontext():
                yield

    service = _web(settings, policy, lifespan)
    verifier = Verifier(engine.manifest, policy, decoders.decoded, finders, batcher, Turns(range(settings.cores)))
    if gallery:
        gallery_setup.install(service, gallery, verifier, settings)
    service.state.keys = keys
    service.state.admission = admission
    service.state.metrics = metrics
    service.state.metrics_text = operations.MetricsText(metrics.text)
    service.state.verifier = verifier
    service.state.readiness = operations.Readiness(check)
    service.state.record = record = recorder(metrics, PUBLIC_PATHS | service.openapi()["paths"].keys())
    service.add_middleware(Gate, settings=settings, keys=keys, admission=admission, record=record)
    return service


def _web(
    settings: Settings, policy: Policy, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]
) -> FastAPI:
    """Routes, the page, errors and documentation; nothing that knows faces behind them yet."""
    service = FastAPIOffline(
        redoc_url=None,
        title="Facepair",
        version=version("facepair"),
        description=DESCRIPTION.format(kept=_KEEPS_PEOPLE if settings.gallery else _KEEPS_NOTHING),
        lifespan=lifespan,
        openapi_tags=openapi.TAGS,
        redirect_slashes=False,
    )
    service.state.settings = settings
    service.state.in_pieces = InPieces()
    service.include_router(router)
    if settings.gallery:
        gallery_setup.add_routes(service)
    service.include_router(operations.router)
    if settings.page:
        page.install(service, gallery=settings.gallery is not None)
    errors.install(service)
    openapi.complete(service, lambda path: not is_public(path), policy, settings.api_keys_file is not None)
    openapi.keep(service)
    return service


def build() -> FastAPI:
    """For `uvicorn --factory app.main:build`."""
    return _start()[1]


def serve() -> None:
    """For the command `facepair`: serves on the address of the settings until told to stop."""
    settings, service = _start()
    with _one_line_errors():
        server.run(service, settings, service.state.admission, service.state.record)


def start_inside() -> FastAPI:
    """For a caller in this process, who needs no key. Raises one of START_ERRORS."""
    return create_app(read_settings().model_copy(update={"api_keys_file": None}))


def _start() -> tuple[Settings, FastAPI]:
    with _one_line_errors():
        settings = read_settings()
        service = create_app(settings)
    logs.install(settings.log_level)
    return settings, service


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except START_ERRORS as error:
        sys.exit(f"facepair: {error}")
