"""Adds to the OpenAPI document what FastAPI cannot see: bodies that routes read by hand, and error answers."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.errors import ErrorKind, problem_of
from app.schemas import Problem
from model.decision import Policy

_FILE = {"type": "string", "format": "binary", "description": "A JPEG, PNG, WebP or binary PGM/PPM picture"}
_BASE64 = {
    "type": "string",
    "contentEncoding": "base64",
    "description": "A JPEG, PNG, WebP or binary PGM/PPM picture in base64",
    "examples": ["iVBORw0KGgo="],
}
FMR = {"type": "number", "description": "The false match rate to decide at, one of the bundle's levels"}
FACES2 = {
    "title": "Faces2",
    "type": "string",
    "enum": ["largest", "all"],
    "description": "Which faces of `image2` to compare with: the largest (if left out), or each by itself",
}

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


_REQUEST_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "description": "Names the request in answer and log: up to 64 of `A-Z a-z 0-9 . _ -`; anything else is replaced",
    "schema": {"type": "string"},
}
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds after which to try again", "schema": {"type": "integer", "minimum": 1}}
}


def picture_body(name: str, images: Sequence[str], fields: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """The request body of a route that takes these pictures, as an upload or in JSON; `name` begins its schemas' names.

    `fields`: the schemas of what else it takes, by name. Their texts say what leaving one out means; a `default` would
    make it a member that generated TypeScript has to send.
    """
    form = _object(f"{name}Form", dict.fromkeys(images, _FILE), fields)
    json = _object(f"{name}Request", dict.fromkeys(images, _BASE64), fields)
    return _body({"multipart/form-data": form, "application/json": json})


def pictures_body(name: str, images: str, most: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The request body of a route that takes up to `most` pictures, each a part called `images`."""
    files = {"type": "array", "items": _FILE, "minItems": 1, "maxItems": most}
    return _body({"multipart/form-data": _object(f"{name}Form", {images: files}, fields)})


def json_body(shape: type[BaseModel]) -> dict[str, Any]:
    """The request body of a route that reads this shape by itself."""
    return _body({"application/json": shape.model_json_schema()})


def problems(*kinds: ErrorKind) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, an example for each kind, by status. Any route may answer INTERNAL_ERROR."""
    by_status: dict[int | str, list[ErrorKind]] = {}
    for kind in (*kinds, ErrorKind.INTERNAL_ERROR):
        by_status.setdefault(kind.status, []).append(kind)
    return {status: _answer(same_status) for status, same_status in by_status.items()}


def complete(service: FastAPI, keyed: Callable[[str], bool], policy: Policy, keys_needed: bool) -> None:
    """Completes the document of a service that has all its routes.

    Adds the shape of errors, the paths that need a key and the levels of the bundle.
    """
    document = service.openapi()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    used = {tag for operation in operations for tag in operation["tags"]}
    document["tags"] = [tag for tag in TAGS if tag["name"] in used]
    schemas = document["components"]["schemas"]
    for operation in operations:
        _name_bodies(operation, schemas)
        if "requestBody" in operation:
            operation.setdefault("parameters", []).append(_REQUEST_ID)
    for name, schema in schemas.items():
        if name.endswith(("Form", "Request")) and "fmr" in schema["properties"]:
            _add_levels(schema["properties"]["fmr"], policy)
    schemas["Problem"] = Problem.model_json_schema()
    document["components"]["securitySchemes"] = _KEYS
    for path, methods in document["paths"].items():
        for operation in methods.values() if keyed(path) else ():
            operation["security"] = [{name: []} for name in _KEYS] + ([] if keys_needed else [{}])


def keep(service: FastAPI) -> None:
    """Serves the complete document as it was written once: to write it keeps everybody else waiting for 2.5 ms."""

    @cache
    def text(root_path: str) -> bytes:
        servers = {"servers": [{"url": root_path}]} if root_path else {}
        return bytes(JSONResponse(service.openapi() | servers).body)

    async def document(request: Request) -> Response:
        return Response(text(request.scope.get("root_path", "").rstrip("/")), media_type="application/json")

    service.router.routes.insert(0, Route("/openapi.json", document))  # FastAPI has one of its own, which comes later


def _object(title: str, required: Mapping[str, Any], optional: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "title": title,
        "type": "object",
        "required": list(required),
        "properties": {**required, **optional},
        "additionalProperties": False,
    }


def _body(by_media_type: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    content = {media_type: {"schema": schema} for media_type, schema in by_media_type.items()}
    return {"requestBody": {"required": True, "content": content}}


def _name_bodies(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Moves the schemas of a request's bodies to where generated clients take the names of their types from."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        for name, member in schema.get("properties", {}).items():
            if "enum" in member:
                schema["properties"][name] = _named(member, schemas)
        if "title" in schema:
            content["schema"] = _named(schema, schemas)


def _named(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    schemas[schema["title"]] = schema
    return {"$ref": f"#/components/schemas/{schema['title']}"}


def _add_levels(fmr: dict[str, Any], policy: Policy) -> None:
    levels = ", ".join(f"{level:g}" for level in policy.operating_points)
    fmr["examples"] = [policy.default_fmr]
    fmr["description"] += f": {levels}. If left out: {policy.default_fmr:g}"


def _answer(kinds: list[ErrorKind]) -> dict[str, Any]:
    examples = {kind.code: {"value": problem_of(kind, "0f8e...").model_dump(exclude_none=True)} for kind in kinds}
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
    answer = {
        "description": "\n\n".join(f"`{kind.code}`: {kind.detail}" for kind in kinds),
        "content": {"application/problem+json": content},
    }
    return answer | ({"headers": _RETRY_AFTER} if kinds[0].status in (429, 503) else {})
