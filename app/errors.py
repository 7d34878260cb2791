"""The one table of errors (exception -> status, stable code and text) and the one envelope, problem+json (RFC 9457)."""

import json
from collections.abc import Mapping
from enum import Enum, unique
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from app import admission, bounded_request, json_bodies, keys, multipart, origins, uploads
from app.gallery import records
from app.inference import batching, comparison, decoder_pool, enrolment
from app.inference.verifier import RefusedImageError
from app.request_context import context_of
from app.schemas import Problem
from model import decision, images
from model.embedding import embedder
from model.faces import face


@unique
class ErrorKind(Enum):
    """What a client is told: a status, one sentence and, where the work was not done, when to try again (seconds).

    The code is the name in small letters; an Enum takes no name twice, so no code can have two texts.
    """

    HEAD_INVALID = 400, "The request's head or chunks are not valid HTTP/1.1, or larger than this service takes."
    MULTIPART_INVALID = 400, "The body is not valid multipart/form-data, or it broke off."
    JSON_INVALID = 400, "The body is not a JSON object."
    UNAUTHORIZED = (
        401,
        "The request needs exactly one known API key; a service without keys serves only its own machine.",
    )
    FORBIDDEN = 403, "Your API key is not for this: it lacks the scope."
    ORIGIN_NOT_ALLOWED = 403, "A service without keys serves neither this Host nor requests from other web sites."
    NOT_FOUND = 404, "There is nothing at this path."
    PERSON_NOT_FOUND = 404, "Nobody is enrolled under this id."
    PHOTO_NOT_FOUND = 404, "The person has no such photo, or none at all."
    METHOD_NOT_ALLOWED = 405, "The path does not take this method; Allow lists those it takes."
    REQUEST_TIMEOUT = 408, "The request did not come in time."
    CONTRACT_MISMATCH = 409, "The embeddings belong to another bundle; GET /model gives the contract_id of this one."
    GALLERY_FULL = 409, "The gallery has as many people, or the person as many photos, as the limits allow."
    PERSON_DAMAGED = 409, "What is kept of the person cannot be read; erase the person, then enrol again."
    PRECONDITION_FAILED = 412, "The person has changed since, or is not there; get the person again."
    BODY_TOO_LARGE = 413, "The request body is larger than this service takes."
    FILE_TOO_LARGE = 413, "The file is larger than this service takes."
    UNSUPPORTED_MEDIA_TYPE = 415, "The route does not take bodies of this content type."
    UNSUPPORTED_IMAGE_FORMAT = (
        415,
        "The content is not a Huffman-coded 8-bit JPEG, a PNG, a WebP or a binary PGM/PPM picture.",
    )
    MISSING_PART = 422, "The file is missing or empty."
    INVALID_PARAMETER = 422, "A part or parameter is unknown, doubled, of the wrong kind or out of range."
    IMAGE_CORRUPT = 422, "The picture is damaged and cannot be decoded."
    IMAGE_TOO_SMALL = 422, "A side of the picture is shorter than the limit."
    IMAGE_TOO_MANY_PIXELS = 422, "The picture has more pixels than the limit."
    IMAGE_TOO_EXPENSIVE = 422, "Decoding the picture would take more work than the limit."
    IMAGE_ANIMATED = 422, "The picture has more than one frame."
    NO_FACE = 422, "The service found no face in the picture."
    ENROLMENT_REJECTED = 422, "No photo was good enough to enrol; the member rejected says why."
    LEVEL_NOT_SUPPORTED = (
        422,
        "The bundle's data supports no such level, or not for so many faces; GET /model lists its levels.",
    )
    RATE_LIMITED = 429, "Your quota is used up for now; nothing was done."
    OVERLOADED = 503, "The service has as much work as it takes; nothing was done.", 1
    DEADLINE_EXCEEDED = 503, "The time for this request is up; nothing was done.", 1
    DRAINING = 503, "The service is shutting down; nothing was done.", 5
    NOT_READY = 503, "The service cannot decode, embed or pass its self-test now; nothing was done.", 5
    GALLERY_UNAVAILABLE = 503, "The gallery's database does not answer now; trying again is safe.", 5
    INTERNAL_ERROR = 500, "The service has a fault; the request id finds it in the log."

    def __init__(self, status: int, detail: str, retry_after: int | None = None) -> None:
        self.status = status
        self.detail = detail
        self.retry_after = retry_after

    @property
    def code(self) -> str:
        return self.name.lower()


ERRORS: Mapping[type[Exception], ErrorKind] = {
    RequestValidationError: ErrorKind.INVALID_PARAMETER,
    keys.ForbiddenError: ErrorKind.FORBIDDEN,
    records.PersonNotFound: ErrorKind.PERSON_NOT_FOUND,
    records.PhotoNotFound: ErrorKind.PHOTO_NOT_FOUND,
    records.ContractMismatch: ErrorKind.CONTRACT_MISMATCH,
    records.GalleryFull: ErrorKind.GALLERY_FULL,
    records.DamagedError: ErrorKind.PERSON_DAMAGED,
    records.PreconditionFailed: ErrorKind.PRECONDITION_FAILED,
    records.GalleryUnavailable: ErrorKind.GALLERY_UNAVAILABLE,
    enrolment.EnrolmentRejected: ErrorKind.ENROLMENT_REJECTED,
    ClientDisconnect: ErrorKind.MULTIPART_INVALID,
    multipart.MultipartInvalidError: ErrorKind.MULTIPART_INVALID,
    json_bodies.JsonInvalidError: ErrorKind.JSON_INVALID,
    bounded_request.HeadError: ErrorKind.HEAD_INVALID,
    keys.UnauthorizedError: ErrorKind.UNAUTHORIZED,
    origins.OriginError: ErrorKind.ORIGIN_NOT_ALLOWED,
    bounded_request.RequestTimeoutError: ErrorKind.REQUEST_TIMEOUT,
    comparison.ContractMismatchError: ErrorKind.CONTRACT_MISMATCH,
    bounded_request.BodyTooLargeError: ErrorKind.BODY_TOO_LARGE,
    uploads.FileTooLargeError: ErrorKind.FILE_TOO_LARGE,
    multipart.NotMultipartError: ErrorKind.UNSUPPORTED_MEDIA_TYPE,
    json_bodies.NotJsonError: ErrorKind.UNSUPPORTED_MEDIA_TYPE,
    images.UnsupportedFormat: ErrorKind.UNSUPPORTED_IMAGE_FORMAT,
    uploads.MissingPartError: ErrorKind.MISSING_PART,
    uploads.InvalidParameterError: ErrorKind.INVALID_PARAMETER,
    json_bodies.InvalidPictureFieldError: ErrorKind.INVALID_PARAMETER,
    comparison.InvalidEmbeddingError: ErrorKind.INVALID_PARAMETER,
    images.CorruptImage: ErrorKind.IMAGE_CORRUPT,
    images.ImageTooSmall: ErrorKind.IMAGE_TOO_SMALL,
    images.TooManyPixels: ErrorKind.IMAGE_TOO_MANY_PIXELS,
    images.TooExpensive: ErrorKind.IMAGE_TOO_EXPENSIVE,
    images.AnimatedImage: ErrorKind.IMAGE_ANIMATED,
    face.NoFaceFound: ErrorKind.NO_FACE,
    decision.LevelNotSupported: ErrorKind.LEVEL_NOT_SUPPORTED,
    admission.RateLimitedError: ErrorKind.RATE_LIMITED,
    admission.OverloadedError: ErrorKind.OVERLOADED,
    admission.DrainingError: ErrorKind.DRAINING,
    batching.QueueFullError: ErrorKind.OVERLOADED,
    batching.DeadlineExceededError: ErrorKind.DEADLINE_EXCEEDED,
    batching.ClosedError: ErrorKind.DRAINING,
    batching.StoppedError: ErrorKind.NOT_READY,
    decoder_pool.DecodingTimeoutError: ErrorKind.DEADLINE_EXCEEDED,
    decoder_pool.NoChildError: ErrorKind.NOT_READY,
    embedder.SelfTestError: ErrorKind.NOT_READY,
}
"""Any other exception is an INTERNAL_ERROR."""

HTTP_ERRORS: Mapping[int, ErrorKind] = {404: ErrorKind.NOT_FOUND, 405: ErrorKind.METHOD_NOT_ALLOWED}
"""What the router answers by itself."""

_CLOSING = {
    ErrorKind.HEAD_INVALID,
    ErrorKind.REQUEST_TIMEOUT,
    ErrorKind.BODY_TOO_LARGE,
    ErrorKind.FILE_TOO_LARGE,
    ErrorKind.DRAINING,
}
"""After these the connection is closed: the service does not read what is still on its way."""


def kind_of(error: Exception) -> ErrorKind:
    """The row of the table for this error; a refused picture is judged by the reason of its refusal."""
    reason = error.__cause__ if isinstance(error, RefusedImageError) else error
    if isinstance(reason, HTTPException) and reason.status_code in HTTP_ERRORS:
        return HTTP_ERRORS[reason.status_code]
    return ERRORS.get(type(reason), ErrorKind.INTERNAL_ERROR)  # type: ignore[arg-type]


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
    """The envelope for any error: nothing in it comes from a library or from what was sent.

    Whoever wants to know where the error arose must have looked by then.
    """
    kind = kind_of(error)
    _let_go(error)
    problem = problem_of(kind, request_id, getattr(error, "image", None))
    headers = {"Cache-Control": "no-store", "X-Request-ID": request_id}
    if retry_after := getattr(error, "retry_after", kind.retry_after):
        headers["Retry-After"] = str(retry_after)
    if kind in _CLOSING:
        headers["Connection"] = "close"
    headers |= getattr(error, "headers", None) or {}
    members = problem.model_dump(exclude_none=True) | getattr(error, "members", {})
    return Response(json.dumps(members), kind.status, headers, media_type="application/problem+json")


def _let_go(error: BaseException | None) -> None:
    """Frees what the frames hold that the error went through, the body among it: its client may take long to read."""
    while error is not None:
        error.__traceback__ = None
        error = error.__context__


async def answer(request: Request, error: Exception) -> Response:
    context = context_of(request)
    context.code = kind_of(error).code
    return problem_response(error, context.id)


def install(service: FastAPI) -> None:
    """Answers every error that the routes may raise by the table; what nobody foresaw is left to the gate."""
    for error in (*ERRORS, RefusedImageError, HTTPException):
        service.add_exception_handler(error, answer)
