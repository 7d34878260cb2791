"""A request that has ended, into the counts and the log; knows neither sockets nor routes' work."""

from collections.abc import Callable, Set
from typing import TypeAlias

from app import logs
from app.metrics import Metrics
from app.request_context import CLIENT_CLOSED, RequestContext

Record: TypeAlias = Callable[[RequestContext], None]


def recorder(metrics: Metrics, routes: Set[str]) -> Record:
    """Counts and logs requests; a path that is none of `routes` is `other`, so that callers cannot make up labels."""

    def record(context: RequestContext) -> None:
        route = context.path if context.path in routes else "other"
        code = None if context.status == CLIENT_CLOSED else context.code
        metrics.request(route, context.status, context.seconds, code)
        stages = vars(context.timings) if context.timings else {}
        logs.request(
            {
                "request_id": context.id,
                "caller": context.caller,
                "route": route,
                "status": context.status,
                "code": code,
                "ms": round(1000 * context.seconds, 2),
                "stages_ms": {stage: round(1000 * seconds, 2) for stage, seconds in stages.items()},
                "bytes_in": context.received,
                "bytes_out": context.sent,
            }
        )

    return record
