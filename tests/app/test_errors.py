"""Every fault of a request gets its status and code in the one envelope, and the next request succeeds."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import makers
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from PIL import Image

from app.errors import ERRORS, HTTP_ERRORS, ErrorKind, kind_of, problem_response
from app.inference.batching import QueueFullError
from app.main import create_app
from app.settings import Settings
from model.embedding.embedder import Embedder

pytestmark = pytest.mark.anyio

GOOD = makers.encoded(makers.face(1), "PPM")
MARK = "Zq7mark"  # sent, and never to be echoed
BOUNDARY = {"content-type": "multipart/form-data; boundary=b"}


def files(image2: bytes | None) -> dict[str, Any]:
    return {"files": {"image1": ("a", GOOD), **({} if image2 is None else {"image2": (MARK, image2)})}}


def part(name: str, value: bytes, filename: str | None = "f") -> bytes:
    given = f'; filename="{filename}"' if filename else ""
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{given}\r\n\r\n'.encode() + value + b"\r\n"


def raw(*parts: bytes, end: bytes = b"--b--\r\n") -> dict[str, Any]:
    return {"content": b"".join(parts) + end, "headers": BOUNDARY}


ONE, TWO = part("image1", GOOD), part("image2", GOOD)
ANIMATION = makers.encoded(makers.face(1), "PNG", save_all=True, append_images=[Image.fromarray(makers.face(2))])
SCANS = makers.encoded(makers.face(1), "JPEG", progressive=True)[:-2] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" * 100
BAD_REQUESTS: dict[str, tuple[dict[str, Any], int, str, str | None]] = {
    "no body": ({}, 415, "unsupported_media_type", None),
    "a form of text": ({"data": {"image1": MARK}}, 415, "unsupported_media_type", None),
    "no boundary": (
        {"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "multipart_invalid", None,
    ),
    "no multipart": ({"content": MARK.encode(), "headers": BOUNDARY}, 400, "multipart_invalid", None),
    "cut off": (raw(ONE, TWO, end=b""), 400, "multipart_invalid", None),
    "nameless part": (raw(b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n"), 400, "multipart_invalid", None),
    "many parts": (raw(*[part("image1", b"x")] * 500), 422, "invalid_parameter", None),
    "one image": (files(None), 422, "missing_part", "image2"),
    "empty image": (files(b""), 422, "missing_part", "image2"),
    "doubled image": (raw(ONE, TWO, ONE), 422, "invalid_parameter", None),
    "third image": (raw(ONE, TWO, part("image3", GOOD)), 422, "invalid_parameter", None),
    "text for an image": (raw(ONE, part("image2", MARK.encode(), None)), 422, "invalid_parameter", None),
    "a file for the level": (raw(ONE, TWO, part("fmr", b"0.1")), 422, "invalid_parameter", None),
    "unknown field": (files(GOOD) | {"data": {MARK: "1"}}, 422, "invalid_parameter", None),
    "long field": (files(GOOD) | {"data": {"fmr": "0.1" + " " * 2000}}, 422, "invalid_parameter", None),
    **{
        f"fmr={value}": (files(GOOD) | {"data": {"fmr": value}}, 422, "invalid_parameter", None)
        for value in ("", MARK, "nan", "inf", "1e999", "-0.1", "0", "1")
    },
    "level without data": (files(GOOD) | {"data": {"fmr": "0.02"}}, 422, "level_not_supported", None),
    "no picture": (files(MARK.encode()), 415, "unsupported_image_format", "image2"),
    "GIF": (files(makers.encoded(makers.face(1), "GIF")), 415, "unsupported_image_format", "image2"),
    "damaged": (files(GOOD[:999]), 422, "image_corrupt", "image2"),
    "small": (files(makers.encoded(np.zeros((31, 99), np.uint8))), 422, "image_too_small", "image2"),
    "many pixels": (files(makers.encoded(np.zeros((200, 501), np.uint8))), 422, "image_too_many_pixels", "image2"),
    "animated": (files(ANIMATION), 422, "image_animated", "image2"),
    "many scans": (files(SCANS), 422, "image_too_expensive", "image2"),
    "level without data, told before any work": (
        files(b"junk") | {"data": {"fmr": "0.02"}}, 422, "level_not_supported", None,
    ),
    "large file": (files(b"P5" + bytes(20_000)), 413, "file_too_large", "image2"),
    "large body": (files(b"P5" + bytes(60_000)), 413, "body_too_large", None),
}  # fmt: skip


@pytest.fixture(scope="module")
def settings(bundle_folder: Path) -> Settings:
    return Settings(bundle=str(bundle_folder), max_file_bytes=20_000, max_body_bytes=50_000, max_pixels=100_000)


def documented_problems() -> list[tuple[str, dict[str, Any]]]:
    """The examples of errors in the OpenAPI document, by code, of all routes, those of a gallery among them."""
    document = json.loads((makers.ROOT / "tests/openapi_gallery.json").read_text())
    answers = [
        answer["content"]["application/problem+json"]
        for path in document["paths"].values()
        for operation in path.values()
        for status, answer in operation["responses"].items()
        if not status.startswith("2")
    ]
    return [(code, example["value"]) for answer in answers for code, example in answer["examples"].items()]


def assert_problem(response: httpx.Response, status: int, code: str, image: str | None = None) -> None:
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert set(problem) <= {"type", "title", "status", "detail", "code", "image", "request_id"}
    assert (problem["status"], problem.get("image")) == (status, image)
    assert problem["type"] == f"urn:facepair:error:{code}"
    assert problem["request_id"] == response.headers["x-request-id"]
    assert MARK not in response.text
    assert ("retry-after" in response.headers) == (status == 503)


@pytest.mark.parametrize("name", BAD_REQUESTS)
async def test_a_bad_request_gets_its_code_and_the_next_succeeds(client: httpx.AsyncClient, name: str) -> None:
    request, status, code, image = BAD_REQUESTS[name]
    assert_problem(await client.post("/verify", **request), status, code, image)
    assert (await client.post("/verify", **files(GOOD))).status_code == 200


async def test_a_body_without_announced_length_is_bounded_too(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield ONE + TWO + b"--b--\r\n"
        for _ in range(1000):
            yield bytes(1000)

    assert_problem(await client.post("/verify", content=chunks(), headers=BOUNDARY), 413, "body_too_large")


async def test_unknown_paths_and_methods(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/nothing"), 404, "not_found")
    assert_problem(await client.post("/verify/"), 404, "not_found")  # not sent elsewhere
    assert_problem(await client.get("/static-offline-docs/../../etc/passwd"), 404, "not_found")
    refused = await client.get("/verify")
    assert_problem(refused, 405, "method_not_allowed")
    assert refused.headers["allow"] == "POST"


@pytest.mark.parametrize("sent", ["a" * 65, "a b", "é", "", "<x>"])
async def test_a_request_id_that_is_not_sane_is_replaced(client: httpx.AsyncClient, sent: str) -> None:
    response = await client.get("/livez", headers=[(b"x-request-id", sent.encode())])
    assert response.headers["x-request-id"] != sent
    assert len(response.headers["x-request-id"]) == 32


def broken(settings: Settings, embedder: Embedder, trouble: Exception) -> FastAPI:
    """A service whose network raises once, after the start."""
    remaining = [trouble]

    class Broken(Embedder):
        def embed(self, crops: Any) -> Any:
            if remaining:
                raise remaining.pop()
            return embedder.embed(crops)

    engine = Broken.__new__(Broken)
    engine.manifest, engine.faces = embedder.manifest, embedder.faces
    return create_app(settings, lambda _: engine)


async def test_a_fault_of_the_service_is_a_500_and_the_next_request_succeeds(
    settings: Settings, embedder: Embedder, caplog: pytest.LogCaptureFixture
) -> None:
    service = broken(settings, embedder, RuntimeError(MARK))
    transport = httpx.ASGITransport(service, raise_app_exceptions=False)
    async with (
        service.router.lifespan_context(service),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as c,
    ):
        failed = await c.post("/verify", **files(GOOD))
        assert_problem(failed, 500, "internal_error")
        logged = [record.fields for record in caplog.records if record.message == "fault"]  # type: ignore[attr-defined]
        assert logged == [{"request_id": failed.headers["x-request-id"]}]
        assert (await c.post("/verify", **files(GOOD))).status_code == 200


async def test_a_full_queue_is_503_with_retry_after(client: httpx.AsyncClient, service: FastAPI) -> None:
    class Full:
        async def submit(self, *_: object, **__: object) -> None:
            raise QueueFullError

    whole = service.state.verifier
    service.state.verifier = replace(whole, batcher=Full())
    assert_problem(await client.post("/verify", **files(GOOD)), 503, "overloaded")
    assert (await client.get("/readyz")).status_code == 200  # a full queue is no fault: it empties
    service.state.verifier = whole
    assert (await client.post("/verify", **files(GOOD))).status_code == 200


def test_every_kind_is_raised_by_something() -> None:
    raised = {*ERRORS.values(), *HTTP_ERRORS.values(), kind_of(RuntimeError())}
    assert raised == set(ErrorKind)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_is_answered_as_every_route_documents_it(error: type[Exception]) -> None:
    answer = problem_response(error.__new__(error), "0f8e...")
    sent = json.loads(bytes(answer.body))
    documented = [example for code, example in documented_problems() if code == sent["code"]]
    assert documented
    assert all(example == sent for example in documented)


def test_only_a_gallerys_routes_let_fastapi_validate() -> None:
    validating = [
        any(
            parameter["in"] in ("path", "query")
            for path in json.loads((makers.ROOT / "tests" / name).read_text())["paths"].values()
            for operation in path.values()
            for parameter in operation.get("parameters", [])
        )
        for name in ("openapi.json", "openapi_gallery.json")
    ]
    assert validating == [False, True]
    assert ERRORS[RequestValidationError] is ErrorKind.INVALID_PARAMETER
