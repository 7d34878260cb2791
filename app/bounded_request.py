"""A request whose body is bounded in size, rate and time, and whose work has a deadline; knows no key and no route."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.inference.batching import DeadlineExceededError
from app.request_context import CLIENT_CLOSED, REQUEST_ID, RequestContext
from app.settings import Settings

_WITH_BODY = {"POST", "PUT", "PATCH"}
_MAX_QUERY_BYTES = 4096
"""To take a longer one apart holds up everybody for milliseconds, and no route has use for it."""
_HEADERS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "frame-ancestors 'none'"}
"""Of every answer that does not say otherwise."""


class BodyTooLargeError(Exception):
    """The request's body is over the limit, which is nothing for methods whose body means nothing."""


class RequestTimeoutError(Exception):
    """The request's head or body did not come in time."""


class HeadError(Exception):
    """The request's head, or the framing of its body, is not HTTP/1.1 or over the limit."""


def length_of(digits: bytes) -> int:
    """A Content-Length, whatever zeros it begins with; of one beyond all limits the first digits."""
    return int(digits.lstrip(b"0")[:20] or b"0")


class BoundedRequest:
    """What an application sees of a request.

    `on_bytes` and `on_whole` are told of the body as it comes, and may raise; `on_answer`, when the answer begins.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, context: RequestContext, settings: Settings) -> None:
        self.scope = scope
        self.headers = Headers(scope=scope)
        self.context = context
        self.answered = False
        self.on_bytes: Callable[[int], None] = lambda _: None
        self.on_whole: Callable[[], None] = lambda: None
        self.on_answer: Callable[[], None] = lambda: None
        self.receive, self._send = receive, send
        self._settings = settings
        self._max_body_bytes = settings.max_body_bytes if scope["method"] in _WITH_BODY else 0
        self._chunked = "transfer-encoding" in self.headers
        self._whole = self._empty = not (self._chunked or self.declared_length)
        self._closed = False
        self._limit: asyncio.Timeout | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def declared_length(self) -> int:
        """Bytes of the body as the head declares them; 0 where it does not."""
        length = self.headers.get("content-length", "").encode("latin-1")
        return length_of(length) if length.isdigit() else 0

    def check_head(self) -> None:
        """Judges sizes by the head alone. Raises HeadError or BodyTooLargeError."""
        fields = sum(len(name) + len(value) for name, value in self.headers.raw)
        if fields > self._settings.max_header_bytes or len(self.scope["query_string"]) > _MAX_QUERY_BYTES:
            raise HeadError
        if self.declared_length > self._max_body_bytes or (self._chunked and not self._max_body_bytes):
            raise BodyTooLargeError

    async def run(self, inner: ASGIApp) -> None:
        """Raises what `inner` does, RequestTimeoutError or DeadlineExceededError; cancels it if the client leaves."""
        try:
            async with asyncio.timeout(None) as self._limit:
                if self._whole:
                    self._start_work()
                else:
                    self._expect_more()
                await inner(self.scope, self._bounded, self._answer)
        except TimeoutError as error:
            if self._limit is None or not self._limit.expired():
                raise
            if not self._closed:
                raise (DeadlineExceededError if self._whole else RequestTimeoutError) from error
        finally:
            if self._watcher:
                self._watcher.cancel()

    def give_up(self) -> None:
        """Ends an upload at once, as one whose time is over."""
        self._end_at(0)

    async def send(self, message: Message) -> None:
        """Sends a part of the answer, with the request's id."""
        if message["type"] == "http.response.start":
            self.answered = True
            self.context.status = CLIENT_CLOSED if self._closed else message["status"]
            _complete(MutableHeaders(scope=message), self.context.id)
        self.context.sent += len(message.get("body", b""))
        await self._send(message)

    async def _answer(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.on_answer()
            self._end_at(None)  # how fast the client takes its answer is between it and the server
        await self.send(message)

    async def _bounded(self) -> Message:
        if self._empty:  # the watcher takes what the server says of it
            self._empty = False
            return {"type": "http.request", "body": b"", "more_body": False}
        message = await self.receive()
        size = len(message.get("body", b""))
        self.context.received += size
        if self.context.received > self._max_body_bytes:
            raise BodyTooLargeError
        self.on_bytes(size)
        if message["type"] == "http.disconnect":
            self._closed = True
        elif message.get("more_body"):
            self._expect_more()
        elif not self._whole:
            self._whole = True
            self._start_work()
        return message

    def _expect_more(self) -> None:
        """The whole body has its time, and what comes of it must keep to the lowest rate."""
        allowed = self._settings.header_timeout + self.context.received / self._settings.min_upload_rate
        self._end_at(self.context.began + min(allowed, self._settings.body_timeout))

    def _start_work(self) -> None:
        """From here on time is the service's, not the client's."""
        self.on_whole()
        self.context.deadline = time.monotonic() + self._settings.request_timeout
        self._end_at(self.context.deadline)
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        with suppress(HeadError):  # what is wrong after this request is none of its business
            while (await self.receive())["type"] != "http.disconnect":
                pass
            if not self.answered:
                self._closed = True
                self._end_at(0)

    def _end_at(self, when: float | None) -> None:
        """`when`: by `time.monotonic`, which the event loop goes by as well."""
        if self._limit and not self._limit.expired():
            self._limit.reschedule(when)


def _complete(headers: MutableHeaders, request_id: str) -> None:
    headers[REQUEST_ID] = request_id
    headers.setdefault("Cache-Control", "no-cache" if "etag" in headers else "no-store")
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    del headers["Accept-Ranges"]  # the gate takes Range out of the request
