"""Fixtures that more than one file uses; each is a real thing, made small."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import makers
import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from model import bundle
from model.embedding.embedder import Embedder


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
    return Settings(bundle=str(bundle_folder))


@pytest.fixture
def service(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture
async def client(service: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(service, raise_app_exceptions=False)
    async with (
        service.router.lifespan_context(service),
        httpx.AsyncClient(transport=transport, base_url="http://test") as c,
    ):
        yield c


@pytest.fixture(scope="session")
def picture() -> bytes:
    return makers.encoded(makers.face(1), "PPM")


@pytest.fixture(scope="session")
def stranger() -> bytes:
    return makers.encoded(makers.face(2), "PPM")
