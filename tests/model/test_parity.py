"""Training and serving share decode, detection, alignment and normalisation: the same crops, byte for byte."""

from pathlib import Path
from typing import Any

import httpx
import makers
import pytest
from service.drawn_faces import portrait

from app.main import create_app
from app.settings import Settings
from model import bundle
from model.data.dataset import load
from model.data.people import PeopleFolder
from model.embedding.embedder import Embedder

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", ["tutorial", "default"])
async def test_an_upload_becomes_the_crop_that_training_saw(tmp_path: Path, name: str) -> None:
    embedder = Embedder(bundle.load(bundle.find(name)), threads=1)
    folder = tmp_path / "people"
    for person, kind in enumerate(["PNG", "JPEG", "WEBP", "PPM"]):
        for picture in range(2):
            path = folder / f"p{person}" / f"{picture}.{kind.lower()}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(makers.encoded(portrait(person, picture, size=500), kind))
    trained = load(PeopleFolder(folder), embedder.faces)
    seen: list[bytes] = []

    class Recording(Embedder):
        def embed(self, crops: Any) -> Any:
            seen.extend(crop.tobytes() for crop in crops)
            return embedder.embed(crops)

    engine = Recording.__new__(Recording)
    engine.manifest, engine.faces = embedder.manifest, embedder.faces
    service = create_app(Settings(bundle=name), lambda _: engine)
    transport = httpx.ASGITransport(service)
    async with (
        service.router.lifespan_context(service),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as c,
    ):
        for path in sorted(folder.glob("*/*")):
            assert (await c.post("/embed", files={"image": path.read_bytes()})).status_code == 200
    assert seen == [crop.tobytes() for crop in trained.crops]
