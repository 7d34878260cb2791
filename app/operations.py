"""The routes for operators: liveness, readiness and metrics; knows no picture."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response

from app import schemas
from app.errors import ErrorKind
from app.openapi import problems

router = APIRouter(tags=["operations"])


class Readiness:
    """Runs the check at most once a second, however many probes ask."""

    def __init__(self, check: Callable[[], Awaitable[None]], fresh: float = 1.0) -> None:
        self._check = check
        self._fresh = fresh
        self._well = -fresh
        self._asking = asyncio.Lock()

    async def check(self) -> None:
        """Raises what the check raises."""
        async with self._asking:
            if time.monotonic() - self._well >= self._fresh:
                await self._check()
                self._well = time.monotonic()


class MetricsText:
    """Written at most once a second, however many ask: to write it keeps everybody else waiting for milliseconds."""

    def __init__(self, write: Callable[[], bytes], fresh: float = 1.0) -> None:
        self._write = write
        self._fresh = fresh
        self._text = b""
        self._written = -fresh

    def read(self) -> bytes:
        if time.monotonic() - self._written >= self._fresh:
            self._text, self._written = self._write(), time.monotonic()
        return self._text


@router.get("/livez", operation_id="get_liveness", summary="Is the process alive?", responses=problems())
async def livez() -> schemas.Status:
    """Answers whenever the process runs. Restart the service if this fails."""
    return schemas.Status(status="ok")


@router.get(
    "/readyz",
    operation_id="get_readiness",
    summary="Can the service do its work?",
    responses=problems(ErrorKind.DEADLINE_EXCEEDED, ErrorKind.DRAINING, ErrorKind.NOT_READY),
)
async def readyz(request: Request) -> schemas.Status:
    """Checks that the network gives the distances recorded in the bundle and that pictures can be decoded."""
    await request.app.state.readiness.check()
    gallery = getattr(request.app.state, "gallery", None)
    return schemas.Status(status="damaged_photos" if gallery and gallery.index.damaged else "ok")


@router.get(
    "/metrics",
    operation_id="get_metrics",
    summary="Read the service's metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **problems(ErrorKind.UNAUTHORIZED, ErrorKind.ORIGIN_NOT_ALLOWED),
    },
)
async def metrics(request: Request) -> Response:
    """Gives counts and distributions since the start, at most a second old, in Prometheus's text format."""
    return Response(request.app.state.metrics_text.read(), media_type="text/plain; version=1.0.0; charset=utf-8")
