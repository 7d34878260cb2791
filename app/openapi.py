"""What FastAPI cannot see by itself: bodies read by hand and the error answers, for the OpenAPI document."""

from typing import Any

from app.errors import ERRORS, HTTP_ERRORS, ErrorKind
from app.schemas import Problem

_FILE = {"type": "string", "format": "binary", "description": "JPEG, PNG, WebP or binary PGM/PPM, told by content"}
_FMR = {"type": "number", "description": "False match rate to decide at, one of those in GET /model", "example": 0.1}


def multipart(images: list[str], fmr: bool = False) -> dict[str, Any]:
    """The OpenAPI request body of a route that takes these files."""
    properties: dict[str, Any] = dict.fromkeys(images, _FILE) | ({"fmr": _FMR} if fmr else {})
    schema = {"type": "object", "required": images, "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI error answers of a route, an example a code, from the table of errors."""
    kinds = {kind.code: kind for kind in (*ERRORS.values(), *HTTP_ERRORS.values())}
    answers: dict[int | str, dict[str, Any]] = {}
    for kind in (kinds[code] for code in (*codes, "internal_error")):
        answer = answers.setdefault(kind.status, {"model": Problem, "description": ""})
        answer["description"] = ", ".join(filter(None, [answer["description"], kind.code]))
        examples = answer.setdefault("content", {"application/problem+json": {"examples": {}}})
        examples["application/problem+json"]["examples"][kind.code] = {"value": _example(kind)}
    return answers


def _example(kind: ErrorKind) -> dict[str, Any]:
    return {
        "type": f"urn:facepair:error:{kind.code}",
        "status": kind.status,
        "code": kind.code,
        "detail": kind.detail,
    }
