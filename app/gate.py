"""The outermost layer, before any body byte: who may come in, with how much and for how long; what nobody foresaw."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from app import logs
from app.admission import Admission, Quota
from app.bounded_request import BoundedRequest
from app.errors import kind_of, problem_response
from app.keys import KEYLESS, Keys
from app.origins import Origins
from app.records import Record
from app.request_context import new_context
from app.settings import Settings

PUBLIC_PATHS = {"/", "/livez", "/readyz", "/docs", "/docs/oauth2-redirect", "/openapi.json"}
"""What needs no key: probes, the page and the documentation. Any other path does, also one that is not there."""
_PUBLIC_FOLDERS = ("/page/", "/static-offline-docs/")
_LONGEST_PATH = 1024
"""No route's is longer. To look for a file beneath six thousand folders took 50 ms, and whoever can connect may ask."""
_READ_ONLY = {"GET", "HEAD", "OPTIONS"}
_PEOPLE = ("/people", "/gallery")
"""To read these is work as well: a page of people takes as long as a photo."""


def is_public(path: str) -> bool:
    return path in PUBLIC_PATHS or path.startswith(_PUBLIC_FOLDERS)


class Gate:
    """Lets a request in or refuses it, and has it recorded when it has ended. Work is bounded."""

    def __init__(self, inner: ASGIApp, *, settings: Settings, keys: Keys, admission: Admission, record: Record) -> None:
        self._inner = inner
        self._settings = settings
        self._keys = keys
        self._admission = admission
        self._quota = Quota(settings.requests_per_minute) if settings.requests_per_minute else None
        self._origins = Origins(settings.host_names)
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        scope = _simplified(scope)
        context = new_context(scope)
        request = BoundedRequest(scope, receive, send, context, self._settings)
        try:
            await self._let_in(request)
        except Exception as error:
            await self._refuse(request, error)
        finally:
            self._record(context)

    async def _let_in(self, request: BoundedRequest) -> None:
        context = request.context
        if not is_public(context.path):
            context.caller = self._keys.caller(request.headers, context.address)
            if context.caller == KEYLESS:
                self._origins.check(request.headers)
        request.check_head()
        if len(context.path) > _LONGEST_PATH:
            raise HTTPException(404)
        if context.path == "/readyz":
            self._admission.check()
        if request.scope["method"] not in _READ_ONLY or context.path.startswith(_PEOPLE):
            await self._work(request)
        else:
            await request.run(self._inner)

    async def _work(self, request: BoundedRequest) -> None:
        context = request.context
        with self._admission.admit(context.shares_as, request.declared_length, request.give_up) as ticket:
            if self._quota:
                self._quota.take(context.shares_as)
            request.on_bytes = lambda size: self._admission.charge(ticket, size)
            request.on_whole = lambda: self._admission.start_work(ticket)
            request.on_answer = lambda: self._admission.end_work(ticket)
            await request.run(self._inner)

    async def _refuse(self, request: BoundedRequest, error: Exception) -> None:
        kind = kind_of(error)
        if kind.status == 500:
            logs.fault(request.context.id, error)
        if request.answered:
            raise error  # too late for an answer: the server breaks the connection off
        request.context.code = kind.code
        await problem_response(error, request.context.id)(request.scope, request.receive, request.send)


def _simplified(scope: Scope) -> Scope:
    """HEAD as GET, whose body the server leaves out; without Range, which any server may ignore (RFC 9110, 14.2)."""
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    return {**scope, "method": method, "headers": [line for line in scope["headers"] if line[0] != b"range"]}
