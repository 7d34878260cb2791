import asyncio
import json
import sys

import httpx
import makers
import numpy as np
import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from model.embedding.embedder import Embedder, distances
from model.images import decode

pytestmark = pytest.mark.anyio


def two(image1: bytes, image2: bytes) -> dict[str, tuple[str, bytes]]:
    return {"image1": ("a", image1), "image2": ("b", image2)}


async def test_verify_answers_the_contract(client: httpx.AsyncClient, picture: bytes, stranger: bytes) -> None:
    response = await client.post("/verify", files=two(picture, stranger), headers={"X-Request-ID": "abc-1"})
    answer = response.json()
    assert response.status_code == 200
    assert set(answer) == {
        "same", "distance", "threshold", "metric", "operating_point", "fmr_estimate", "faces", "model", "request_id",
    }  # fmt: skip
    assert answer["same"] == (answer["distance"] <= answer["threshold"])
    assert answer["operating_point"]["fmr"] == 0.01
    assert answer["operating_point"]["people"] == 40
    assert answer["faces"]["image1"]["box"] == {"x": 0, "y": 0, "width": 92, "height": 112}
    assert answer["faces"]["image2"]["warnings"] == ["no_detector"]
    assert answer["request_id"] == response.headers["X-Request-ID"] == "abc-1"
    assert response.headers["Cache-Control"] == "no-store"
    assert [stage.split(";")[0].strip() for stage in response.headers["Server-Timing"].split(",")] == [
        "decode", "detect", "queue", "embed",
    ]  # fmt: skip


async def test_a_photo_against_itself_is_0_and_verify_is_symmetric(
    client: httpx.AsyncClient, picture: bytes, stranger: bytes
) -> None:
    itself = (await client.post("/verify", files=two(picture, picture))).json()
    assert (itself["distance"], itself["same"], itself["fmr_estimate"]["at_most"]) == (0, True, True)
    one = (await client.post("/verify", files=two(picture, stranger))).json()
    other = (await client.post("/verify", files=two(stranger, picture))).json()
    assert one["distance"] == other["distance"] > 0


async def test_verify_and_embed_agree_with_the_library(
    client: httpx.AsyncClient, embedder: Embedder, picture: bytes, stranger: bytes
) -> None:
    crops = [embedder.faces.find(decode(data)).crop for data in (picture, stranger)]
    expected = embedder.embed(crops)
    embedded = [(await client.post("/embed", files={"image": ("x", data)})).json() for data in (picture, stranger)]
    np.testing.assert_allclose([answer["embedding"] for answer in embedded], expected, atol=1e-6)
    assert embedded[0]["dimension"] == 50
    assert embedded[0]["normalized"] is False
    verified = (await client.post("/verify", files=two(picture, stranger))).json()
    assert verified["distance"] == pytest.approx(distances(expected[0], expected[1]), abs=2e-6)


async def test_the_caller_may_choose_among_the_supported_levels(client: httpx.AsyncClient, picture: bytes) -> None:
    answer = (await client.post("/verify", files=two(picture, picture), data={"fmr": "0.1"})).json()
    assert answer["operating_point"]["fmr"] == 0.1


async def test_model_tells_all_there_is(client: httpx.AsyncClient, settings: Settings) -> None:
    answer = (await client.get("/model")).json()
    assert answer["name"] == "tiny"
    assert answer["contract_id"].startswith("sha256:")
    assert answer["default_fmr"] == 0.01
    assert [level["fmr"] for level in answer["levels"] if level["threshold"] is not None] == [0.1, 0.01]
    assert all(level["reason"] for level in answer["levels"] if level["threshold"] is None)
    assert answer["limits"]["max_pixels"] == settings.max_pixels
    assert answer["liveness_detection"] is False
    assert answer["detector"] == "whole_picture"


async def test_it_is_alive_and_ready(client: httpx.AsyncClient) -> None:
    assert (await client.get("/livez")).json() == {"status": "ok"}
    assert (await client.get("/readyz")).json() == {"status": "ok"}


async def test_where_no_process_that_decodes_can_be_started_it_is_not_ready_and_calls_nothing_damaged(
    service: FastAPI, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = httpx.ASGITransport(service, raise_app_exceptions=False)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    async with (
        service.router.lifespan_context(service),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        for answer in (await client.get("/readyz"), await client.post("/embed", files={"image": picture})):
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
            assert answer.headers["Retry-After"]
        monkeypatch.undo()
        assert (await client.post("/embed", files={"image": picture})).status_code == 200
        assert (await client.get("/readyz")).status_code == 200


async def test_it_is_not_ready_when_closed(service: FastAPI) -> None:
    transport = httpx.ASGITransport(service)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "draining")
        assert (await client.get("/livez")).status_code == 200


async def test_docs_are_served_without_any_other_host(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    assert "//cdn" not in page
    assert "http" not in page.replace("http-equiv", "")
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f"/static-offline-docs/{asset}" in page
        assert len((await client.get(f"/static-offline-docs/{asset}")).content) > 100_000


def test_the_contract_changes_only_on_purpose() -> None:
    snapshot = json.loads((makers.ROOT / "tests/openapi.json").read_text())
    assert create_app(Settings()).openapi() == snapshot, "changed on purpose? then: make openapi"


async def test_every_route_documents_its_errors(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    operations = {path: operation for path, item in document["paths"].items() for operation in item.values()}
    assert {operation["operationId"] for operation in operations.values()} == {
        "verify", "embed", "compare", "get_model", "get_liveness", "get_readiness", "get_metrics",
    }  # fmt: skip
    for operation in operations.values():
        assert "500" in operation["responses"]
        for status, answer in operation["responses"].items():
            if not status.startswith("2"):
                assert list(answer["content"]) == ["application/problem+json"]


async def test_the_level_of_the_settings_is_the_default(bundle_folder: object, picture: bytes) -> None:
    service = create_app(Settings(bundle=str(bundle_folder), fmr=0.1))
    transport = httpx.ASGITransport(service)
    async with (
        service.router.lifespan_context(service),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as c,
    ):
        assert (await c.post("/verify", files=two(picture, picture))).json()["operating_point"]["fmr"] == 0.1
        assert (await c.get("/model")).json()["default_fmr"] == 0.1


async def test_answers_are_never_swapped(client: httpx.AsyncClient) -> None:
    pictures = [makers.encoded(makers.face(person), "PPM") for person in range(12)]
    alone = [(await client.post("/embed", files={"image": ("x", data)})).json()["embedding"] for data in pictures]
    together = await asyncio.gather(*(client.post("/embed", files={"image": ("x", data)}) for data in pictures * 4))
    for i, response in enumerate(together):
        np.testing.assert_allclose(response.json()["embedding"], alone[i % 12], atol=1e-6)
