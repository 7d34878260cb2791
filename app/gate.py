"""The outermost layer, before any body byte: who may come in, with how much and for how long; what nobody foresaw."""

from collections.abc import Set
from contextlib import nullcontext

from starlette.types import ASGIApp, Receive, Scope, Send

from app import logs
from app.admission import Admission, Quota
from app.errors import kind_of, problem_response
from app.exchange import LEFT, Exchange
from app.keys import Keys
from app.metrics import Metrics
from app.settings import Settings

OPEN = {"/", "/livez", "/readyz", "/docs", "/docs/oauth2-redirect", "/openapi.json"}
"""What needs no key: probes, the page and the documentation. Any other path does, also one that is not there."""
_OPEN_FOLDERS = ("/page/", "/static-offline-docs/")


def is_open(path: str) -> bool:
    return path in OPEN or path.startswith(_OPEN_FOLDERS)


class Gate:
    """Lets a request in or refuses it, and counts and logs it when it has ended. What is posted is work: bounded."""

    def __init__(
        self,
        inner: ASGIApp,
        *,
        settings: Settings,
        keys: Keys,
        admission: Admission,
        metrics: Metrics,
        routes: Set[str],
    ) -> None:
        self._inner = inner
        self._settings = settings
        self._keys = keys
        self._admission = admission
        self._quota = Quota(settings.requests_per_minute) if settings.requests_per_minute else None
        self._metrics = metrics
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send, self._settings)
        try:
            await self._let_in(exchange)
        except Exception as error:
            await self._refuse(exchange, error)
        finally:
            self._record(exchange)

    async def _let_in(self, exchange: Exchange) -> None:
        work = exchange.scope["method"] == "POST"
        if not is_open(exchange.path):
            exchange.state["caller"] = self._keys.caller(exchange.headers, exchange.host)
        exchange.check_sizes()
        if exchange.path == "/readyz":
            self._admission.check()
        with self._admission.admit(exchange.announced) if work else nullcontext():
            if work and self._quota:
                self._quota.take(exchange.state.get("caller", ""))
            await exchange.run(self._inner)

    async def _refuse(self, exchange: Exchange, error: Exception) -> None:
        kind = kind_of(error)
        if kind.status == 500:
            logs.fault(exchange.request_id, error)
        if exchange.answered:
            raise error  # too late for an answer: the server breaks the connection off
        exchange.state["code"] = kind.code
        await problem_response(error, exchange.request_id)(exchange.scope, exchange.receive, exchange.send)

    def _record(self, exchange: Exchange) -> None:
        route = exchange.path if exchange.path in self._routes else "other"
        code = None if exchange.status == LEFT else exchange.state.get("code")
        self._metrics.request(route, exchange.status, exchange.seconds, code)
        timings = exchange.state.get("timings")
        logs.request(
            {
                "request_id": exchange.request_id,
                "caller": exchange.state.get("caller"),
                "route": route,
                "status": exchange.status,
                "code": code,
                "ms": round(1000 * exchange.seconds, 2),
                "stages_ms": {stage: round(1000 * s, 2) for stage, s in vars(timings).items()} if timings else {},
                "bytes_in": exchange.received,
                "bytes_out": exchange.sent,
            }
        )
