"""HTTP only: what a caller's key must be for, judged before a body is read."""

from typing import cast

from fastapi import Request, params

from app.keys import Keys
from app.request_context import context_of


def needs(scope: str) -> params.Depends:
    """A dependency of routes that raises ForbiddenError where the caller's key is not for that."""

    async def check(request: Request) -> None:
        cast("Keys", request.app.state.keys).require(scope, cast("str", context_of(request).caller))

    return params.Depends(check)
