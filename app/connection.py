"""One HTTP/1.1 connection: which bytes belong to which request, and an end that loses no answer; knows no route.

uvicorn's protocol writes the answers, httptools parses heads and chunks. What comes in is framed here, one request at a
time and a bounded piece at a time, so that no connection keeps the event loop for longer than a few milliseconds:

    HEAD --> BODY --> ANSWERING --> HEAD ...        the next request, if the whole of this one was read
      |        |          |
      +--------+----------+-------> LINGERING       half-closed; what still comes is thrown away, unparsed
"""

import asyncio
import re
import select
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Any

import httptools
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.addresses import client_at
from app.bounded_request import HeadError, RequestTimeoutError
from app.errors import kind_of, problem_response
from app.framing import ChunkedBody, body_length
from app.records import Record
from app.request_context import RequestContext
from app.room import Room
from app.settings import Settings
from app.starts import Starts

_READ_BYTES = 2**16
_MAX_HEADERS = 100
_LINGER_BYTES = 2**27
_PEER_CHECK_SECONDS = 0.1


class State(Enum):
    HEAD = auto()
    BODY = auto()
    ANSWERING = auto()
    LINGERING = auto()


class Connections:
    """What all connections of one server share. `is_proxy`: whether many clients come from an address."""

    def __init__(self, settings: Settings, record: Record, is_proxy: Callable[[str], bool]) -> None:
        self.settings = settings
        self.record = record
        self.buffer = memoryview(bytearray(_READ_BYTES))  # one for all: what is read is taken out at once
        self.seconds = {
            State.HEAD: settings.header_timeout,
            State.BODY: settings.body_timeout + settings.header_timeout,  # the gate gives up before
            State.ANSWERING: settings.request_timeout + settings.body_timeout,  # the client may take it slowly
            State.LINGERING: settings.body_timeout,
        }
        self.starts = Starts()
        self.room = Room(settings.max_connections)
        self.is_proxy = is_proxy


class Connection(asyncio.BufferedProtocol, HttpToolsProtocol):
    """A connection whose every state has a deadline; what trickles in does not prolong it."""

    def __init__(self, connections: Connections, **server: Any) -> None:
        HttpToolsProtocol.__init__(self, **server)
        self._connections = connections
        self._head = bytearray()
        self._head_ends = False
        self._is_request = False
        self._length: int | None = 0
        self._chunks: ChunkedBody | None = None
        self._ahead = b""
        self._discarded = 0
        self._fault: Exception | None = None
        self._half_closed = False
        self._holding = False
        self._held = b""
        self._timer: asyncio.TimerHandle | None = None
        self.state = State.HEAD
        self.shares_as = ""

    @property
    def waits_for_us(self) -> bool:
        """Not where the client does not take what it was sent before: an answer that is due waits for that."""
        return self._answer_is_due and not self.flow.write_paused

    @property
    def _answer_is_due(self) -> bool:
        return self.state is State.ANSWERING and not self.cycle.response_started

    def break_off(self) -> None:
        self.transport.abort()

    @property
    def address(self) -> str:
        return self.client[0] if self.client else ""

    # What the event loop calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        HttpToolsProtocol.connection_made(self, transport)
        self.shares_as = client_at(self.address)
        self._enter(State.HEAD)
        self._connections.room.enter(self, of_many=self._connections.is_proxy(self.address))

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.room.leave(self)
        if self._timer:
            self._timer.cancel()
        HttpToolsProtocol.connection_lost(self, exc)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - always the same
        return self._connections.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._take(bytes(self._connections.buffer[:nbytes]))

    def eof_received(self) -> bool:  # type: ignore[override]  # true: the transport stays open for writing
        self._half_closed = True
        if self.state is not State.ANSWERING and not self._ahead:
            return False
        self._look_for_peer()
        return True

    def pause_writing(self) -> None:
        HttpToolsProtocol.pause_writing(self)
        self._connections.room.touch(self)

    def resume_writing(self) -> None:
        HttpToolsProtocol.resume_writing(self)
        self._connections.room.touch(self)
        if self.state is State.ANSWERING:
            self._enter(self.state)  # whoever takes a long answer has the time anew

    # What comes in

    def _take(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._connections.room.touch(self)
        while data:
            if self.state is State.HEAD:
                data = self._take_head(data)
            elif self.state is State.BODY:
                data = self._take_body(data)
            elif self.state is State.ANSWERING:
                self._ahead += data if self.cycle.keep_alive else b""
                self.flow.pause_reading()
                return
            else:
                self._discarded += len(data)
                if self._discarded > _LINGER_BYTES:
                    self.transport.abort()
                return
        if self._half_closed and self.state in (State.HEAD, State.BODY):
            self.transport.close()

    def _take_head(self, data: bytes) -> bytes:
        """Gives the parser no byte beyond the head; returns what is beyond."""
        if not self._head:
            data = data.lstrip(b"\r\n")  # empty lines before a request are none (RFC 9112, 2.2)
            self._is_request = False
        before = len(self._head)
        self._head += data
        end = self._head.find(b"\r\n\r\n", max(0, before - 3))
        self._head_ends = end >= 0
        used = end + 4 - before if self._head_ends else len(data)
        try:
            if before + used > self._connections.settings.max_header_bytes + 4:
                raise HeadError
            self.parser.feed_data(data[:used])
            if self._head_ends and not self._is_request:
                raise HeadError  # a head of HTTP/2, of which the parser makes nothing
        except httptools.HttpParserUpgrade:
            pass  # no request is upgraded
        except (HeadError, httptools.HttpParserError):
            self._refuse(HeadError())
            return b""
        if self._head_ends:
            self._start_body()
        return data[used:]

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) == _MAX_HEADERS:
            raise HeadError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._head_ends or self.parser.get_method() == b"CONNECT":
            raise HeadError
        self._length = body_length(self.headers, self.parser.get_http_version())
        self.expect_100_continue &= self.parser.get_http_version() != "1.0"  # which knows no such answer
        self._split_target()
        self._chunks = ChunkedBody(self._connections.settings.max_header_bytes) if self._length is None else None
        self._fault = None
        super().on_headers_complete()
        self._is_request = True

    def on_body(self, body: bytes) -> None:
        """Never called: the parser is given heads alone."""

    def on_message_complete(self) -> None:
        """Called where the parser expects no body, as with Upgrade; what there is of one, the head's fields tell."""

    def _split_target(self) -> None:
        """The absolute form, whose authority counts instead of Host (RFC 9112, 3.2.2), to the usual one."""
        scheme, found, rest = self.url.partition(b"://")
        if found and scheme.lower() in (b"http", b"https"):
            authority = re.split(rb"[/?]", rest, maxsplit=1)[0]
            path = rest[len(authority) :]
            self.url = path if path.startswith(b"/") else b"/" + path
            self.headers[:] = [line for line in self.headers if line[0] != b"host"] + [(b"host", authority)]

    def _start_body(self) -> None:
        self._head.clear()
        self._enter(State.BODY)
        if self._length == 0:
            self._end_body()

    def _take_body(self, data: bytes) -> bytes:
        """Hands the application what there is of the body; returns what is beyond."""
        if self._chunks:
            body, rest = self._take_chunks(self._chunks, data)
        else:
            body, rest = data[: self._length], data[self._length or 0 :]
            self._length = (self._length or 0) - len(body)
        self.cycle.body += body
        if len(self.cycle.body) > _READ_BYTES:
            self.flow.pause_reading()
        if self._length == 0 or (self._chunks and self._chunks.whole):
            self._end_body()
        self.cycle.message_event.set()
        return rest

    def _take_chunks(self, chunks: ChunkedBody, data: bytes) -> tuple[bytes, bytes]:
        """Nothing is taken for a request that comes after chunks: only the parser knows where they end."""
        self.cycle.keep_alive = False
        try:
            return chunks.feed(data), b""
        except HeadError as error:
            self._fault = error
            self._enter(State.ANSWERING)
            return b"", b""

    def _end_body(self) -> None:
        self.cycle.more_body = False
        self.cycle.message_event.set()  # who reads the body is told of its end also where nothing came of it
        self._enter(State.ANSWERING)

    # What goes out

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        cycle.transport = self  # whose `close` lets the client read the answer first
        self._connections.starts.add(self.shares_as, partial(self._begin, app, cycle))

    def _begin(self, app: Any, cycle: Any) -> None:
        if not cycle.disconnected:
            super()._start_asgi_task(cycle, partial(self._serve, app, cycle))

    async def _serve(self, app: ASGIApp, cycle: Any, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_or_fail() -> Message:
            message = await receive()
            if self._fault:
                raise self._fault
            return message

        async def send_and_close(message: Message) -> None:
            self._holding = message["type"] == "http.response.start"
            if self._holding and cycle.more_body:
                cycle.keep_alive = False
            await send(message)

        await app(scope, receive_or_fail, send_and_close)

    def write(self, data: bytes) -> None:
        """A head goes together with what follows it: to send is a third of what a refusal costs."""
        self._connections.room.touch(self)
        self._held += data
        if not self._holding:
            self._send_held()

    def _send_held(self) -> None:
        held, self._held = self._held, b""
        if held:
            self.transport.write(held)

    def is_closing(self) -> bool:
        return self.state is State.LINGERING or self.transport.is_closing()

    def close(self) -> None:
        """Half-closes; were the client still sending, a full close would reset what it has not read of the answer."""
        if not self.is_closing():
            self._send_held()
        if self.is_closing() or self._half_closed:
            self.transport.close()
            return
        try:
            self.transport.write_eof()
        except OSError:  # the client has reset it already
            self.transport.abort()
            return
        self._enter(State.LINGERING)
        self.flow.resume_reading()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.is_closing():
            return
        self._send_held()  # an answer to HEAD ends without a body
        self._enter(State.HEAD)
        self.parser = httptools.HttpRequestParser(self)
        if self._ahead:
            self.flow.pause_reading()  # else what arrives in this turn would come before what has waited
            self.loop.call_soon(self._go_on)
        elif self._half_closed:
            self.transport.close()
        else:
            self.flow.resume_reading()

    def _go_on(self) -> None:
        ahead, self._ahead = self._ahead, b""
        self.flow.resume_reading()
        self._take(ahead)

    def shutdown(self) -> None:
        if self.state is State.LINGERING:
            self.transport.close()
        else:
            super().shutdown()

    def _refuse(self, error: Exception) -> None:
        """Answers what never became a request."""
        context = RequestContext(address=self.address)
        response = problem_response(error, context.id)
        headers = [*self.server_state.default_headers, *response.raw_headers]
        lines = [b"%s: %s\r\n" % header for header in headers if header[0].lower() != b"connection"]
        head = STATUS_LINE[response.status_code] + b"".join(lines) + b"connection: close\r\n\r\n"
        self.write(head + bytes(response.body))
        self.close()
        context.status, context.code = response.status_code, kind_of(error).code
        self._connections.record(context)

    # Time

    def _enter(self, state: State) -> None:
        self.state = state
        self._connections.room.touch(self)
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_later(self._connections.seconds[state], self._expire)

    def _expire(self) -> None:
        if self.state is State.HEAD and not self.transport.is_closing():
            if self._head:
                self._refuse(RequestTimeoutError())
            else:
                self.transport.close()
                self._enter(State.LINGERING)  # its last answer may be on the way still, but not for ever
        else:
            self.transport.abort()

    def _look_for_peer(self, told: bool = False) -> None:
        """Who has closed has sent the same as who has only half-closed: but written to, it resets the connection."""
        if self.transport.is_closing() or not self._answer_is_due:
            return
        if not told and self.scope["http_version"] == "1.1":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), 0)
        if poll.poll(0):
            self.transport.abort()
        else:
            self.loop.call_later(_PEER_CHECK_SECONDS, self._look_for_peer, True)
