"""The one table of errors (type -> status and stable code) and the one problem+json envelope (RFC 9457)."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from app import admission, exchange, keys, uploads
from app.inference import batching, decoder_pool
from app.inference.verifier import RefusedImageError
from app.schemas import Problem
from model import decision, images
from model.embedding import embedder
from model.faces import face


@dataclass(frozen=True)
class ErrorKind:
    """What a client is told. `retry_after`: seconds, where the work was not done and trying again is safe."""

    status: int
    code: str
    detail: str
    retry_after: int | None = None


ERRORS: Mapping[type[Exception], ErrorKind] = {
    ClientDisconnect: ErrorKind(400, "multipart_invalid", "The body broke off."),
    uploads.MultipartInvalidError: ErrorKind(400, "multipart_invalid", "The body is not valid multipart/form-data."),
    exchange.HeadError: ErrorKind(
        400, "head_invalid", "The request's head is not valid HTTP/1.1, or larger than this service takes."
    ),
    keys.UnauthorizedError: ErrorKind(
        401, "unauthorized", "Exactly one known API key is needed; without keys, only the service's machine is served."
    ),
    exchange.RequestTimeoutError: ErrorKind(408, "request_timeout", "The request did not come in time."),
    exchange.BodyTooLargeError: ErrorKind(413, "body_too_large", "The request body is larger than this service takes."),
    uploads.FileTooLargeError: ErrorKind(413, "file_too_large", "The file is larger than this service takes."),
    uploads.NotMultipartError: ErrorKind(415, "unsupported_media_type", "Send the request as multipart/form-data."),
    images.UnsupportedFormat: ErrorKind(
        415, "unsupported_image_format", "The content is not a JPEG, PNG, WebP or binary PGM/PPM picture."
    ),
    uploads.MissingPartError: ErrorKind(422, "missing_part", "The file is missing or empty."),
    uploads.InvalidParameterError: ErrorKind(
        422, "invalid_parameter", "A part or parameter is unknown, doubled, of the wrong kind or out of range."
    ),
    RequestValidationError: ErrorKind(422, "invalid_parameter", "A parameter is missing or out of range."),
    images.CorruptImage: ErrorKind(422, "image_corrupt", "The picture is damaged and cannot be decoded."),
    images.ImageTooSmall: ErrorKind(422, "image_too_small", "A side of the picture is shorter than the limit."),
    images.TooManyPixels: ErrorKind(422, "image_too_many_pixels", "The picture has more pixels than the limit."),
    images.TooExpensive: ErrorKind(422, "image_too_expensive", "The picture has more scans than the limit."),
    images.AnimatedImage: ErrorKind(422, "image_animated", "The picture has more than one frame."),
    face.NoFaceFound: ErrorKind(422, "no_face", "No face was found in the picture."),
    decision.LevelNotSupported: ErrorKind(
        422, "level_not_supported", "The bundle has no operating point at this FMR; GET /model lists those it has."
    ),
    admission.RateLimitedError: ErrorKind(429, "rate_limited", "Your quota is used up for now; nothing was done."),
    admission.OverloadedError: ErrorKind(503, "overloaded", "Too many requests are in flight; nothing was done.", 1),
    admission.DrainingError: ErrorKind(503, "draining", "The service is shutting down; nothing was done.", 5),
    batching.QueueFullError: ErrorKind(503, "overloaded", "Too many requests are waiting; nothing was done.", 1),
    batching.DeadlineExceededError: ErrorKind(503, "deadline_exceeded", "The time for this request is up.", 1),
    batching.ClosedError: ErrorKind(503, "draining", "The service is shutting down; nothing was done.", 5),
    batching.StoppedError: ErrorKind(503, "not_ready", "The network does not answer; nothing was done.", 5),
    decoder_pool.ChildLostError: ErrorKind(503, "not_ready", "No process that decodes pictures answers.", 5),
    embedder.SelfTestError: ErrorKind(503, "not_ready", "The self-test does not give the recorded distances.", 5),
    Exception: ErrorKind(500, "internal_error", "A fault of the service; the request id finds it in the log."),
}
HTTP_ERRORS: Mapping[int, ErrorKind] = {
    404: ErrorKind(404, "not_found", "There is nothing at this path."),
    405: ErrorKind(405, "method_not_allowed", "The path does not take this method; Allow lists those it takes."),
}

_CLOSING = {"head_invalid", "request_timeout", "body_too_large", "file_too_large", "draining"}
"""After these the connection is closed: what is still on its way is not read."""


def kind_of(error: Exception) -> ErrorKind:
    """The row of the table for this error; a picture's refusal is judged by its reason."""
    reason = error.__cause__ if isinstance(error, RefusedImageError) else error
    if isinstance(reason, HTTPException) and reason.status_code in HTTP_ERRORS:
        return HTTP_ERRORS[reason.status_code]
    return ERRORS.get(type(reason), ERRORS[Exception])  # type: ignore[arg-type]


def problem_of(kind: ErrorKind, request_id: str, image: str | None = None) -> Problem:
    return Problem(
        type=f"urn:facepair:error:{kind.code}",
        title=HTTPStatus(kind.status).phrase,
        status=kind.status,
        detail=kind.detail,
        code=kind.code,
        image=image,
        request_id=request_id,
    )


def problem_response(error: Exception, request_id: str) -> Response:
    """The envelope for any error: nothing in it comes from a library or from what was sent."""
    kind = kind_of(error)
    problem = problem_of(kind, request_id, getattr(error, "image", None))
    headers = {"Cache-Control": "no-store", "X-Request-ID": request_id}
    if kind.retry_after:
        headers["Retry-After"] = str(kind.retry_after)
    if kind.code in _CLOSING:
        headers["Connection"] = "close"
    headers |= getattr(error, "headers", None) or {}
    return Response(
        problem.model_dump_json(exclude_none=True), kind.status, headers, media_type="application/problem+json"
    )


async def answer(request: Request, error: Exception) -> Response:
    request.state.code = kind_of(error).code
    return problem_response(error, request.state.request_id)


def install(service: FastAPI) -> None:
    """Answers every error that the routes may raise by the table; what nobody foresaw is left to the gate."""
    for error in (*ERRORS.keys() - {Exception}, RefusedImageError, HTTPException):
        service.add_exception_handler(error, answer)
