"""What is known of one request, from its head to its end; the gate, the routes and the log share it."""

import math
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import cast

from starlette.requests import HTTPConnection
from starlette.types import Scope

from app.addresses import client_at
from app.inference.verifier import Timings
from app.keys import KEYLESS

REQUEST_ID = "X-Request-ID"
CLIENT_CLOSED = 499
"""Status in logs and counts: the client closed the connection before there was an answer."""
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass
class RequestContext:
    """Times are those of `time.monotonic`; the deadline is set once the body is there."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    path: str = ""
    """Without the prefix under which a proxy serves this service."""
    address: str = ""
    """The client's; empty where it is not known."""
    caller: str | None = None
    """The name of the key, once it has been checked."""
    began: float = field(default_factory=time.monotonic)
    deadline: float = math.inf
    status: int = CLIENT_CLOSED
    code: str | None = None
    timings: Timings | None = None
    received: int = 0
    sent: int = 0

    @property
    def shares_as(self) -> str:
        """Whose share of all room the request takes from: the key's, or without one the address's."""
        return client_at(self.address) if self.caller in (None, KEYLESS) else self.caller

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


def new_context(scope: Scope) -> RequestContext:
    """The context of a request that has just come; `context_of` finds it from now on."""
    connection = HTTPConnection(scope)
    given = connection.headers.get(REQUEST_ID, "")
    context = RequestContext(
        id=given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex,
        path=scope["path"].removeprefix(scope.get("root_path", "")),
        address=connection.client.host if connection.client else "",
    )
    scope.setdefault("state", {})["context"] = context
    return context


def context_of(request: HTTPConnection) -> RequestContext:
    return cast("RequestContext", request.scope["state"]["context"])
