"""What FastAPI cannot see by itself: bodies read by hand and the error answers, for the OpenAPI document."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from app.errors import ERRORS, HTTP_ERRORS, ErrorKind, problem_of
from app.schemas import Problem
from model.decision import Policy

_FILE = {"type": "string", "format": "binary", "description": "JPEG, PNG, WebP or binary PGM/PPM, told by content"}
_FMR = {"type": "number", "description": "False match rate to decide at: one of those that the bundle supports"}

_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Where the service has keys: one of them"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same, in another header"},
}


def multipart(images: list[str], fmr: bool = False) -> dict[str, Any]:
    """The OpenAPI request body of a route that takes these files."""
    properties: dict[str, Any] = dict.fromkeys(images, _FILE) | ({"fmr": _FMR} if fmr else {})
    schema = {"type": "object", "required": images, "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, an example a code, from the table of errors."""
    kinds = {kind.code: kind for kind in (*ERRORS.values(), *HTTP_ERRORS.values())}
    statuses: dict[int | str, list[ErrorKind]] = {}
    for kind in (kinds[code] for code in (*codes, "internal_error")):
        statuses.setdefault(kind.status, []).append(kind)
    return {status: _answer(kinds) for status, kinds in statuses.items()}


def complete(service: FastAPI, keyed: Callable[[str], bool], policy: Policy) -> None:
    """Puts into the document what only the whole service knows; any route must be there already.

    The shape of errors, where the answers above refer to it; which paths need a key; the levels of the bundle.
    """
    document = service.openapi()
    form = document["paths"]["/verify"]["post"]["requestBody"]["content"]["multipart/form-data"]
    form["schema"]["properties"]["fmr"] |= {"enum": list(policy.operating_points), "default": policy.default_fmr}
    document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    document["components"]["securitySchemes"] = _KEYS
    for path, operations in document["paths"].items():
        for operation in operations.values() if keyed(path) else ():
            operation["security"] = [{name: []} for name in _KEYS]


def _answer(kinds: list[ErrorKind]) -> dict[str, Any]:
    examples = {kind.code: {"value": problem_of(kind, "0f8e...").model_dump(exclude_none=True)} for kind in kinds}
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
    return {
        "description": ", ".join(kind.code for kind in kinds),
        "content": {"application/problem+json": content},
    }
