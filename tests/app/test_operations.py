"""What operators ask for costs little, however often they ask."""

import httpx
import pytest
from fastapi import FastAPI

from app.operations import MetricsText, Readiness

pytestmark = pytest.mark.anyio


async def test_readiness_is_asked_once_while_fresh_and_at_once_after_a_failure() -> None:
    asked, faults = [], [RuntimeError("not yet")]

    async def check() -> None:
        asked.append(1)
        if faults:
            raise faults.pop()

    readiness = Readiness(check, fresh=60)
    with pytest.raises(RuntimeError, match="not yet"):
        await readiness.check()
    for _ in range(3):
        await readiness.check()
    assert len(asked) == 2
    stale = Readiness(check, fresh=0)
    for _ in range(3):
        await stale.check()
    assert len(asked) == 5


async def test_metrics_are_written_once_while_fresh(service: FastAPI, client: httpx.AsyncClient) -> None:
    written = []

    def write() -> bytes:
        written.append(1)
        return b"text %d" % len(written)

    service.state.metrics_text = MetricsText(write, fresh=60)
    assert {(await client.get("/metrics")).text for _ in range(3)} == {"text 1"}
    stale = MetricsText(write, fresh=0)
    assert [stale.read() for _ in range(3)] == [b"text 2", b"text 3", b"text 4"]


async def test_the_document_is_written_once(service: FastAPI, client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document == service.openapi()
    service.openapi_schema = {"written": "again"}
    assert (await client.get("/openapi.json")).json() == document
    under = httpx.ASGITransport(service, root_path="/faces")
    async with httpx.AsyncClient(transport=under, base_url="http://localhost") as proxied:
        assert (await proxied.get("/faces/openapi.json")).json()["servers"] == [{"url": "/faces"}]
