"""The service under load and when inference fails: nobody gets another's answer, nothing accepted is dropped."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import httpx
import makers
import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray
from services import PATIENCE

from app.admission import SHARE
from app.main import create_app
from app.settings import Settings
from model.embedding.embedder import Embedder, distances
from model.faces.face import Crop
from model.images import decode

pytestmark = pytest.mark.anyio


class Troubled:
    """An engine to whose inference something is done first."""

    def __init__(self, whole: Embedder, trouble: Callable[[], None]) -> None:
        self.manifest, self.faces, self._whole = whole.manifest, whole.faces, whole
        self.trouble = trouble

    def embed(self, crops: Sequence[Crop]) -> NDArray[np.float32]:
        self.trouble()
        return self._whole.embed(crops)


def service_with(engine: object, settings: Settings) -> FastAPI:
    return create_app(settings, lambda _: engine)  # type: ignore[arg-type, return-value] # has what is used of one


@asynccontextmanager
async def serving(service: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(service, raise_app_exceptions=False)
    async with (
        service.router.lifespan_context(service),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client


def two(image1: bytes, image2: bytes) -> dict[str, bytes]:
    return {"image1": image1, "image2": image2}


def nothing() -> None: ...


def raise_an_error() -> None:
    raise RuntimeError


def end_the_thread() -> None:
    raise SystemExit


@pytest.mark.parametrize("trouble", [raise_an_error, end_the_thread])
async def test_inference_fails_readyz_tells_the_truth_and_the_next_request_succeeds(
    embedder: Embedder, settings: Settings, picture: bytes, trouble: Callable[[], None]
) -> None:
    engine = Troubled(embedder, trouble)
    async with serving(service_with(engine, settings)) as client:
        failed, unready = await client.post("/verify", files=two(picture, picture)), await client.get("/readyz")
        assert (failed.status_code, failed.json()["code"]) == (500, "internal_error")
        assert (unready.status_code, unready.json()["code"]) == (503, "not_ready")
        assert (await client.get("/livez")).status_code == 200
        engine.trouble = nothing
        assert (await client.post("/verify", files=two(picture, picture))).status_code == 200
        assert (await client.get("/readyz")).status_code == 200


async def test_a_client_that_leaves_harms_nobody(embedder: Embedder, settings: Settings, picture: bytes) -> None:
    async with serving(service_with(Troubled(embedder, lambda: time.sleep(0.05)), settings)) as client:
        requests = [asyncio.create_task(client.post("/verify", files=two(picture, picture))) for _ in range(12)]
        await asyncio.sleep(0.1)
        for leaving in requests[::2]:
            leaving.cancel()
        stayed = await asyncio.gather(*requests[1::2])
        assert {answer.status_code for answer in stayed} == {200}
        assert (await client.get("/readyz")).status_code == 200


async def test_answers_are_never_swapped(embedder: Embedder, settings: Settings) -> None:
    pictures = [makers.encoded(makers.face(person), "PPM") for person in range(500)]
    embeddings = embedder.embed([embedder.faces.find(decode(data)).crop for data in pictures])
    expected = distances(embeddings, np.roll(embeddings, -1, axis=0))
    at_once = asyncio.Semaphore(40)  # one caller has three quarters of the room
    async with serving(service_with(embedder, settings)) as client:

        async def ask(person: int) -> float:
            async with at_once:
                files = two(pictures[person], pictures[(person + 1) % len(pictures)])
                answer = await client.post("/verify", files=files)
            distance: float = answer.json()["distance"]
            return distance

        answers = await asyncio.gather(*(ask(person) for person in range(len(pictures))))
    assert len(np.unique(expected)) > 490
    np.testing.assert_allclose(answers, expected, atol=2e-6)


class Stepped(Troubled):
    """An engine whose batches each wait for leave, and are counted."""

    def __init__(self, whole: Embedder) -> None:
        super().__init__(whole, nothing)
        self.leave, self.sizes, self.waits, self.came = threading.Semaphore(0), list[int](), 0, 0

    def embed(self, crops: Sequence[Crop]) -> NDArray[np.float32]:
        self.waits, self.came = len(crops), self.came + 1
        assert self.leave.acquire(timeout=PATIENCE)
        self.sizes.append(len(crops))
        return super().embed(crops)


async def test_ten_times_the_load_is_served_at_capacity_and_the_rest_refused(
    embedder: Embedder, settings: Settings, picture: bytes
) -> None:
    """Ten pairs come for each that can be served, whatever has become of those before; time is counted in batches."""
    rounds, pairs_a_batch, batches_queued = 20, 2, 2
    fills = 2 * pairs_a_batch * batches_queued
    limits = {"max_batch": 2 * pairs_a_batch, "max_waiting": int(fills / SHARE)}
    engine = Stepped(embedder)
    answers: list[tuple[httpx.Response, int]] = []  # and how many batches ran meanwhile
    service = service_with(engine, settings.model_copy(update=limits))
    async with serving(service) as client:

        async def ask() -> None:
            begun = len(engine.sizes)
            answers.append((await client.post("/verify", files=two(picture, picture)), len(engine.sizes) - begun))

        def queue_is_full() -> bool:
            return b"facepair_queue_faces %.1f\n" % fills in service.state.metrics.text()

        asked: list[asyncio.Task[None]] = []
        for ran in range(rounds):
            while 0 < engine.came <= ran:  # it takes from the queue what nobody would fill up again later
                await asyncio.sleep(0.01)
            asked += [asyncio.create_task(ask()) for _ in range(10 * pairs_a_batch)]
            while undone(asked) > engine.waits // 2 + pairs_a_batch * batches_queued or not queue_is_full():
                await asyncio.sleep(0.01)
            engine.leave.release()
        while left := undone(asked):
            engine.leave.release()
            while undone(asked) == left:
                await asyncio.sleep(0.01)
    served = [batches for answer, batches in answers if answer.status_code == 200]
    refused = [answer for answer, _ in answers if answer.status_code != 200]
    assert {(answer.json()["code"], answer.headers["retry-after"]) for answer in refused} == {("overloaded", "1")}
    assert len(served) >= 0.9 * pairs_a_batch * rounds  # nearly every batch was full
    assert len(refused) >= 0.5 * len(answers)
    # One that ran already, those of the queue, its own; the next may begin before the answer is here.
    assert max(served) <= 1 + batches_queued + 1
    assert {len(answers), sum(engine.sizes) // 2 + len(refused)} == {len(asked)}


def undone(tasks: Sequence[asyncio.Task[None]]) -> int:
    return sum(not task.done() for task in tasks)
