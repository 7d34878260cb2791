"""One request and its answer, counted, bounded and timed as they pass; knows no route, no key and no error's shape."""

import asyncio
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.inference.batching import DeadlineExceededError
from app.settings import Settings

REQUEST_ID = "X-Request-ID"
LEFT = 499
"""In logs and counts: the client went away before there was an answer."""
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class BodyTooLargeError(Exception):
    """The request's body is over the limit."""


class RequestTimeoutError(Exception):
    """The request's head or body did not come in time."""


class HeadError(Exception):
    """The request's head is not HTTP, or over the limit."""


class Exchange:
    """What an application sees of a request that has an id, a bounded body and a deadline.

    `state` is the request's: `request_id`, and `deadline` (by `time.monotonic`) once the body is there.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: Settings) -> None:
        self.scope = scope
        self.headers = Headers(scope=scope)
        self.state = scope.setdefault("state", {})
        self.request_id = self.state["request_id"] = _request_id(self.headers)
        self.status = LEFT
        self.received = self.sent = 0
        self.answered = False
        self.began = time.monotonic()
        self.receive, self._send = receive, send
        self._settings = settings
        self._whole = not (self.headers.get("content-length", "0") != "0" or "transfer-encoding" in self.headers)
        self._left = False
        self._watcher: asyncio.Task[None] | None = None

    @property
    def path(self) -> str:
        """Below the path that a proxy took this service to, as the routes see it."""
        path: str = self.scope["path"]
        return path.removeprefix(self.scope.get("root_path", ""))

    @property
    def host(self) -> str | None:
        """The client's address."""
        client = self.scope.get("client")
        return client[0] if client else None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def announced(self) -> int:
        """Bytes of the body, as far as the head tells; where it does not, as many as may be."""
        length = self.headers.get("content-length", "")
        if length.isascii() and length.isdigit():
            return int(length[:20])
        return 0 if self._whole else self._settings.max_body_bytes

    def check_sizes(self) -> None:
        """Judges by the head alone. Raises HeadError or BodyTooLargeError."""
        if sum(len(name) + len(value) for name, value in self.headers.raw) > self._settings.max_header_bytes:
            raise HeadError
        if self.announced > self._settings.max_body_bytes:
            raise BodyTooLargeError

    async def run(self, inner: ASGIApp) -> None:
        """Raises what `inner` does, RequestTimeoutError or DeadlineExceededError; cancels it if the client leaves."""
        try:
            async with asyncio.timeout(self._settings.body_timeout) as self._limit:
                if self._whole:
                    self._start_work()
                await inner(self.scope, self._bounded, self._answer)
        except TimeoutError as error:
            if not self._limit.expired():
                raise
            if not self._left:
                raise (DeadlineExceededError if self._whole else RequestTimeoutError) from error
        finally:
            if self._watcher:
                self._watcher.cancel()

    async def send(self, message: Message) -> None:
        """Sends a part of the answer, with the request's id."""
        if message["type"] == "http.response.start":
            self.answered = True
            self.status = LEFT if self._left else message["status"]
            MutableHeaders(scope=message)[REQUEST_ID] = self.request_id
        self.sent += len(message.get("body", b""))
        await self._send(message)

    async def _answer(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._end_in(None)  # how fast the client takes its answer is between it and the server
        await self.send(message)

    async def _bounded(self) -> Message:
        message = await self.receive()
        self.received += len(message.get("body", b""))
        if self.received > self._settings.max_body_bytes:
            raise BodyTooLargeError
        if message["type"] == "http.disconnect":
            self._left = True
        elif not message.get("more_body") and not self._whole:
            self._whole = True
            self._start_work()
            self._watcher = asyncio.create_task(self._watch())
        return message

    def _start_work(self) -> None:
        """From here on time is the service's, not the client's."""
        self.state["deadline"] = time.monotonic() + self._settings.request_timeout
        self._end_in(self._settings.request_timeout)

    async def _watch(self) -> None:
        message = await self.receive()
        if message["type"] == "http.disconnect" and not self.answered:
            self._left = True
            self._end_in(0)

    def _end_in(self, seconds: float | None) -> None:
        if not self._limit.expired():
            self._limit.reschedule(None if seconds is None else asyncio.get_running_loop().time() + seconds)


def _request_id(headers: Headers) -> str:
    given = headers.get(REQUEST_ID, "")
    return given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex
