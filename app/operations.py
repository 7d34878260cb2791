"""What those who run the service ask of it: is it alive, is it ready, what has it counted."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response

from app import schemas
from app.openapi import problems

router = APIRouter()


class Readiness:
    """Asks whether all is well at most once a second, however many want to know."""

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


@router.get("/livez", operation_id="livez", summary="The process answers", responses=problems())
async def livez() -> schemas.Status:
    return schemas.Status(status="ok")


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="The bundle answers and gives the recorded distances, and pictures can be decoded",
    responses=problems("deadline_exceeded", "draining", "not_ready"),
)
async def readyz(request: Request) -> schemas.Status:
    await request.app.state.readiness.check()
    return schemas.Status(status="ok")


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Counts since the start, as Prometheus reads them",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems("unauthorized")},
)
async def metrics(request: Request) -> Response:
    return Response(request.app.state.metrics.text(), media_type="text/plain; version=1.0.0; charset=utf-8")
