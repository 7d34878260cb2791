"""The HTTP server, uvicorn, with what it lacks: deadlines for every connection, and an end that is announced."""

import asyncio
import logging
import signal
import socket
import uuid
from functools import partial
from types import FrameType
from typing import Any, cast

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.admission import Admission
from app.errors import problem_response
from app.exchange import HeadError, RequestTimeoutError
from app.settings import Settings, SettingsError

_log = logging.getLogger("facepair")
_CLOSE_SECONDS = 1
"""For connections to close once all work is done."""


def run(service: ASGIApp, settings: Settings, admission: Admission) -> None:
    """Serves until told to stop, then finishes what was let in. Raises SettingsError where it cannot listen."""
    listener = _listen(settings.host, settings.port)
    config = uvicorn.Config(
        service,
        http=cast("type[asyncio.Protocol]", partial(Connection, settings)),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=settings.max_header_bytes,
        timeout_graceful_shutdown=_CLOSE_SECONDS,
    )
    _log.info("listening on http://%s:%d", settings.host, settings.port)
    Server(config, admission, settings.drain_timeout).run([listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
    # Connections inherit it. asyncio sets it by itself only where it made the socket; without it the body of an answer
    # waits until the client has acknowledged the head: 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class Server(uvicorn.Server):
    """Says that it is draining, while admitted work goes on; ends within `drain_timeout` seconds of being told to."""

    def __init__(self, config: uvicorn.Config, admission: Admission, drain_timeout: float) -> None:
        super().__init__(config)
        self._admission = admission
        self._drain_timeout = drain_timeout

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self._admission.draining:
            self._admission.draining = True
            signal.setitimer(signal.ITIMER_REAL, self._drain_timeout)  # whatever hangs then, the process ends
        super().handle_exit(sig, frame)

    async def main_loop(self) -> None:
        await super().main_loop()
        loop = asyncio.get_running_loop()
        until = loop.time() + self._drain_timeout - 2 * _CLOSE_SECONDS
        while self._admission.in_flight and not self.force_exit and loop.time() < until:
            await asyncio.sleep(0.05)


class Connection(H11Protocol):
    """A connection whose every state has a deadline: bringing a head, or being answered."""

    def __init__(self, settings: Settings, **server: Any) -> None:
        super().__init__(**server)
        self._settings = settings
        self._watched: object = None
        self._timer: asyncio.TimerHandle | None = None
        self.idle_since = 0.0

    @property
    def busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > self._settings.max_connections:
            idle = [each for each in self.connections if isinstance(each, Connection) and not each.busy]
            min(idle, key=lambda each: each.idle_since).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are not ours
        self._refuse(HeadError())

    def _watch(self) -> None:
        """Starts the time of a state when it begins; what trickles in does not prolong it."""
        state = (self.busy, self.cycle)
        if state == self._watched:
            return
        self._watched = state
        if self._timer:
            self._timer.cancel()
        settings = self._settings
        if self.busy:
            # The gate answers long before that; but a client may not take its answer.
            seconds = settings.body_timeout + settings.request_timeout + settings.header_timeout
        else:
            seconds = settings.header_timeout
            self.idle_since = self.loop.time()
        self._timer = self.loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        if self.busy or self.transport.is_closing():
            self.transport.abort()
        elif self.conn.trailing_data[0]:
            self._refuse(RequestTimeoutError())
        else:
            self.transport.close()

    def _refuse(self, error: Exception) -> None:
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        response = problem_response(error, uuid.uuid4().hex)
        response.headers["Connection"] = "close"
        head = h11.Response(status_code=response.status_code, headers=response.raw_headers)
        for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
