"""A request that has ended, into the counts and the log; knows neither sockets nor routes' work."""

from collections.abc import Callable, Set
from typing import TypeAlias

from starlette.routing import compile_path

from app import logs
from app.metrics import Metrics
from app.request_context import CLIENT_CLOSED, RequestContext

Record: TypeAlias = Callable[[RequestContext], None]


def recorder(metrics: Metrics, routes: Set[str]) -> Record:
    """Counts and logs requests; a path of none of `routes` is `other`, so that callers cannot make up labels.

    What a route has an id in, `{person_id}`, is counted and logged without it.
    """
    with_ids = [(compile_path(route)[0], route) for route in routes if "{" in route]

    def route_of(path: str) -> str:
        return path if path in routes else next((route for form, route in with_ids if form.match(path)), "other")

    def record(context: RequestContext) -> None:
        route = route_of(context.path)
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
