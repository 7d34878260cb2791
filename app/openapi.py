"""Adds to the OpenAPI document what FastAPI cannot see: bodies that routes read by hand, and error answers."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from app.errors import ErrorKind, problem_of
from app.schemas import Problem
from model.decision import Policy

_FILE = {"type": "string", "format": "binary", "description": "A JPEG, PNG, WebP or binary PGM/PPM picture"}
_FMR = {"type": "number", "description": "The false match rate to decide at, one of the bundle's levels"}

TAGS = [
    {"name": "verification", "description": "Compare faces: decisions, embeddings and the bundle behind them."},
    {"name": "people", "description": "Enrol people once, then verify and identify them."},
    {"name": "operations", "description": "Probe and watch the service."},
]
"""The groups of routes; the document names those that have any."""

_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, if the service has keys"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key in another header"},
}


def multipart(images: list[str], fmr: bool = False) -> dict[str, Any]:
    """The OpenAPI request body of a route that takes these files."""
    properties: dict[str, Any] = dict.fromkeys(images, _FILE) | ({"fmr": _FMR} if fmr else {})
    schema = {"type": "object", "required": images, "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def problems(*kinds: ErrorKind) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, an example for each kind, by status. Any route may answer INTERNAL_ERROR."""
    by_status: dict[int | str, list[ErrorKind]] = {}
    for kind in (*kinds, ErrorKind.INTERNAL_ERROR):
        by_status.setdefault(kind.status, []).append(kind)
    return {status: _answer(same_status) for status, same_status in by_status.items()}


def complete(service: FastAPI, keyed: Callable[[str], bool], policy: Policy) -> None:
    """Completes the document of a service that has all its routes.

    Adds the shape of errors, the paths that need a key and the levels of the bundle.
    """
    document = service.openapi()
    used = {tag for path in document["paths"].values() for operation in path.values() for tag in operation["tags"]}
    document["tags"] = [tag for tag in TAGS if tag["name"] in used]
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
        "description": "\n\n".join(f"`{kind.code}`: {kind.detail}" for kind in kinds),
        "content": {"application/problem+json": content},
    }
