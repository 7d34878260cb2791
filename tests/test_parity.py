"""Training and serving share decode, detection, alignment and normalisation: the same crops, byte for byte."""

from pathlib import Path
from typing import Any

import httpx
import makers
import numpy as np
import pytest

from app.main import create_app
from app.settings import Settings
from model.data import load
from model.embedder import Embedder

pytestmark = pytest.mark.anyio


async def test_an_upload_becomes_the_crop_that_training_saw(
    tmp_path: Path, settings: Settings, embedder: Embedder
) -> None:
    folder = makers.write_people(tmp_path / "people", people=2, pictures=2)
    colour = np.stack([makers.face(i, 0, 300, 200) for i in range(3)], axis=-1)
    for name, kind in [("8.png", "PNG"), ("9.jpg", "JPEG")]:
        (folder / "p2" / name).write_bytes(makers.encoded(colour, kind))
    trained = load(folder, embedder.faces)
    seen: list[bytes] = []

    class Recording(Embedder):
        def embed(self, crops: Any) -> Any:
            seen.extend(crop.tobytes() for crop in crops)
            return embedder.embed(crops)

    engine = Recording.__new__(Recording)
    engine.manifest, engine.faces = embedder.manifest, embedder.faces
    service = create_app(settings, lambda _: engine)
    transport = httpx.ASGITransport(service)
    async with (
        service.router.lifespan_context(service),
        httpx.AsyncClient(transport=transport, base_url="http://t") as c,
    ):
        for path in [folder / "p1" / "1.pgm", folder / "p1" / "2.pgm", *sorted((folder / "p2").iterdir())]:
            assert (await c.post("/embed", files={"image": path.read_bytes()})).status_code == 200
    assert seen == [crop.tobytes() for crop in trained.crops]
