"""Sends HTTP requests that are bytes already, and reuses connections. It knows nothing of pictures."""

import asyncio
import json
import time
from typing import Self
from urllib.parse import urlsplit

import msgspec

_PATIENCE_SECONDS = 60.0
_KEPT_SECONDS = 3.0  # less than the service keeps an idle connection: none is used as it is being closed


class Answer(msgspec.Struct, frozen=True):
    """`status` 0: no answer came. `code`: of the problem, where it is one. `stages`: milliseconds by Server-Timing."""

    status: int
    code: str
    seconds: float
    stages: dict[str, float]
    body: bytes = b""


def upload(path: str, **pictures: bytes) -> bytes:
    """A whole HTTP/1.1 request with these parts."""
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="x"\r\n\r\n'.encode() + picture + b"\r\n"
        for name, picture in pictures.items()
    ]
    body = b"".join(parts) + b"--b--\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Client:
    """Keeps connections that are idle, opens another where none is, and closes all at the end of its block."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._host, self._port = parts.hostname, parts.port
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        for _, _, writer in self._idle:
            writer.close()
            await writer.wait_closed()

    async def ask(self, request: bytes) -> Answer:
        started = time.perf_counter()
        try:
            status, headers, body = await asyncio.wait_for(self._exchange(request), _PATIENCE_SECONDS)
        except (OSError, EOFError, TimeoutError) as error:
            return Answer(0, type(error).__name__, time.perf_counter() - started, {})
        code = json.loads(body)["code"] if "problem" in headers.get("content-type", "") else ""
        return Answer(status, code, time.perf_counter() - started, _stages(headers.get("server-timing", "")), body)

    async def _exchange(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        reader, writer = await self._connection()
        kept = False
        try:
            writer.write(request)
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            kept = headers.get("connection", "").lower() != "close"
            return int(first.split()[1]), headers, body
        finally:
            if kept:
                self._idle.append((time.monotonic(), reader, writer))
            else:
                writer.close()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            since, reader, writer = self._idle.pop()
            if not reader.at_eof() and time.monotonic() - since < _KEPT_SECONDS:
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self._host, self._port)


def _stages(header: str) -> dict[str, float]:
    stages = (part.strip().split(";dur=") for part in header.split(",") if ";dur=" in part)
    return {name: float(duration) for name, duration in stages}
