"""Fixtures that more than one file uses; each is a real thing, made small."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # before numpy and torch are loaded: workers are as many as cores already
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import random
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import makers
import numpy as np
import pytest
import torch
import warm
from fastapi import FastAPI
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from postgres_cluster import BINARIES, Cluster, started
from services import UNHURRIED

from app.main import create_app
from app.settings import Settings
from model import bundle
from model.embedding.embedder import Embedder

# How long an example takes says how busy the machine is.
hypothesis_settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def seed(request: pytest.FixtureRequest) -> int:
    """The test's own number, from its name and the run's `--randomly-seed`; every generator starts from it."""
    of_run: int = request.config.getoption("randomly_seed", 0)
    number = (of_run + zlib.crc32(request.node.nodeid.encode())) % 2**32
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002 (libraries still draw from it)
    torch.manual_seed(number)
    return number


@pytest.fixture(scope="session", autouse=True)
def warm_services() -> Iterator[None]:
    """What scripts start as services are copies of a warm process as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.process.Popen", warm.Popen)
        yield
    warm.stop()


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return makers.save_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def embedder(bundle_folder: Path) -> Embedder:
    return Embedder(bundle.load(bundle_folder))


@pytest.fixture(scope="session")
def settings(bundle_folder: Path) -> Settings:
    """With more time than a busy machine takes: what is late is what a test makes late."""
    return Settings(bundle=str(bundle_folder), request_timeout=60, decoder_timeout=30, allowed_hosts="test, t")


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services that the test starts give nothing up because the machine is busy."""
    for name, value in UNHURRIED.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def service(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if BINARIES is None:
        pytest.skip("PostgreSQL's server is not installed")
    with started() as cluster:
        yield cluster


@pytest.fixture
async def client(service: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(service, raise_app_exceptions=False)
    async with (
        service.router.lifespan_context(service),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as c,
    ):
        yield c


@pytest.fixture(scope="session")
def picture() -> bytes:
    return makers.encoded(makers.face(1), "PPM")


@pytest.fixture(scope="session")
def stranger() -> bytes:
    return makers.encoded(makers.face(2), "PPM")
