"""The HTTP server: uvicorn on a socket of ours, with room for its connections and an end that is announced."""

import asyncio
import gc
import logging
import resource
import signal
import socket
import time
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.admission import Admission
from app.connection import Connection, Connections
from app.records import Record
from app.settings import Settings, SettingsError

_log = logging.getLogger("facepair")
_CLOSE_SECONDS = 1
"""For connections to close once all work is done."""
_BACKLOG = 128
"""Connections that are accepted in one go."""
_WAITING = 1024
"""Connections that may wait for that: of any more the kernel drops the first packet, sent again only after a second."""
_DESCRIPTORS_EACH = 2
"""Of a connection: its socket, and the file that it takes its time to read."""
_OTHER_DESCRIPTORS = 128
"""Files and sockets that are no connections': the listener, decoder processes, what a library opens."""


def run(service: ASGIApp, settings: Settings, admission: Admission, record: Record) -> None:
    """Serves until told to stop, then finishes what was let in. Raises SettingsError where it cannot listen."""
    listener = _listen(settings.host, settings.port)
    settings = settings.model_copy(update={"max_connections": _with_descriptors(settings.max_connections)})
    # Here rather than by uvicorn, which would keep to itself whom it trusts.
    behind_proxies = ProxyHeadersMiddleware(cast("Any", service), settings.trusted_proxies)
    connections = Connections(settings, record, behind_proxies.trusted_hosts.__contains__)
    config = uvicorn.Config(
        behind_proxies,
        http=cast("type[asyncio.Protocol]", partial(Connection, connections)),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        proxy_headers=False,
        timeout_graceful_shutdown=_CLOSE_SECONDS,
    )
    _log.info("listening on http://%s:%d", settings.host, settings.port)
    with suppress(KeyboardInterrupt):  # that was the signal to end, which uvicorn gives again
        Server(config, admission, settings.drain_timeout).run([listener])


def _with_descriptors(connections: int) -> int:
    """Raises this process's limit of open files as far as needed; gives the number of connections that it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS_EACH * connections + _OTHER_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    if possible < wanted:
        allowed = max(possible - _OTHER_DESCRIPTORS, possible // 2) // _DESCRIPTORS_EACH
        _log.warning("at most %d connections, since this process may open only %d files", allowed, possible)
        return allowed
    return connections


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

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(LoopErrors())
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            signal.signal(signal.SIGHUP, self.handle_exit)
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(_WAITING)  # again: asyncio accepts as many in one go as it lets wait
        # Of what is there now all stays. To look through it for garbage took 0.16 s, in which nobody was answered.
        gc.collect()
        gc.freeze()

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


class LoopErrors:
    """Takes the errors that nobody awaits. That no connection can be accepted is logged once a second at most.

    asyncio reports it for each connection that it would accept.
    """

    def __init__(self) -> None:
        self._said = -1.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not str(context.get("message")).startswith("socket.accept()"):
            loop.default_exception_handler(context)
        elif time.monotonic() - self._said >= 1:
            self._said = time.monotonic()
            _log.error("no connection can be accepted: %s", context.get("exception"))
