"""HTTP only: whose face it is, among all or one person's; and what the gallery is."""

from collections.abc import Iterator
from itertools import chain

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from app import people_schemas as shapes
from app import uploads
from app.description import identity
from app.errors import ErrorKind
from app.gallery.transfer import export
from app.inference.self_test import SelfTests
from app.openapi import FMR, picture_body, problems
from app.people_state import (
    PEOPLE,
    WORK,
    TheCaller,
    TheGallery,
    TheIdentifier,
    TheThreads,
)
from app.request_context import context_of
from app.routes import (
    BUSY,
    CALLER,
    PICTURE,
    UPLOAD,
    TheSettings,
    TheVerifier,
    decided,
    limits_of,
    read_pictures,
    record,
)
from app.schemas import Face
from app.scopes import needs
from model.decision import LevelNotSupported
from model.manifest import contract_id

router = APIRouter(tags=["people"])

LEVELS = (0.1, 0.03, 0.01, 0.003, 0.001)
_MOST_CANDIDATES = 10
_LIMITS = {form: limit for limit in range(1, _MOST_CANDIDATES + 1) for form in (f"{limit}", f"{limit}.0")}
"""As a form has it, and as JSON has."""
_ASKED = (
    *CALLER,
    ErrorKind.FORBIDDEN,
    *UPLOAD,
    *PICTURE,
    ErrorKind.LEVEL_NOT_SUPPORTED,
    ErrorKind.CONTRACT_MISMATCH,
    *BUSY,
    ErrorKind.GALLERY_UNAVAILABLE,
)
_FPIR = {"type": "number", "description": "False positive identification rate to decide at; if left out, the service's"}
_LIMIT = {
    "type": "integer",
    "minimum": 1,
    "maximum": _MOST_CANDIDATES,
    "description": "Most candidates; if left out, one",
}


@router.post(
    "/identify",
    operation_id="identify",
    summary="Who is this?",
    dependencies=[needs("identify")],
    responses=problems(*_ASKED),
    openapi_extra=picture_body("Identify", ["image"], {"fpir": _FPIR, "limit": _LIMIT}),
)
async def identify(
    request: Request, response: Response, identifier: TheIdentifier, verifier: TheVerifier, settings: TheSettings
) -> shapes.Identification:
    """Searches the face among all who are enrolled, and answers `known`, `ambiguous` or `unknown`: always 200.

    The threshold follows the gallery: for the same rate of false positives (`fpir`) it is the smaller, the more photos
    are enrolled, and comes with its evidence. Most wrong names come from people who look alike, relatives above all:
    that is what `ambiguous` is for. There is no liveness detection.
    """
    form = await read_pictures(request, ["image"], {"fpir": float, "limit": float}, settings)
    fpir = uploads.parse_rate(form.fields.get("fpir"))
    limit = _limit(form.fields.get("limit", "1"))
    found = await identifier.identify(form.files["image"], *limits_of(request), fpir, limit)
    record(request, response, found.timings, [found.face])
    return shapes.Identification(
        outcome=found.outcome,
        person_id=found.matches[0].person_id if found.outcome == "known" else None,
        distance=found.nearest,
        margin=found.margin,
        candidates=[shapes.Candidate.model_validate(match) for match in found.matches],
        operating_point=shapes.SearchPoint.model_validate(found.point),
        face=Face.model_validate(found.face),
        gallery=shapes.GalleryState.model_validate(found.counts),
        model=identity(verifier.manifest),
        request_id=context_of(request).id,
    )


@router.post(
    "/people/{person_id}/verify",
    operation_id="verify_person",
    summary="Is this that person?",
    dependencies=[needs("verify")],
    responses=problems(*_ASKED, ErrorKind.PERSON_NOT_FOUND, ErrorKind.PHOTO_NOT_FOUND),
    openapi_extra=picture_body("VerifyPerson", ["image"], {"fmr": FMR}),
)
async def verify_person(
    request: Request,
    response: Response,
    person_id: shapes.PersonId,
    identifier: TheIdentifier,
    verifier: TheVerifier,
    settings: TheSettings,
) -> shapes.PersonVerification:
    """Compares the face with the person's photos and judges the nearest of them, as `/verify` does.

    The more photos, the more chances that a stranger is near to one: the threshold is smaller, so that the false match
    rate asked for holds for the person.
    """
    form = await read_pictures(request, ["image"], {"fmr": float}, settings)
    fmr = uploads.parse_rate(form.fields.get("fmr"))
    verified = await identifier.verify(person_id, form.files["image"], *limits_of(request), fmr)
    record(request, response, verified.timings, [verified.face])
    return shapes.PersonVerification(
        **decided(request, verifier, verified.decision),
        photo_id=verified.match.photo_id,
        photos=verified.match.photos,
        face=Face.model_validate(verified.face),
    )


@router.get(
    "/gallery",
    operation_id="get_gallery",
    summary="How many people there are, and how well a search can tell them apart",
    dependencies=[needs("identify")],
    responses=problems(*CALLER, ErrorKind.FORBIDDEN, *WORK, ErrorKind.GALLERY_UNAVAILABLE),
)
async def get_gallery(
    request: Request,
    response: Response,
    gallery: TheGallery,
    identifier: TheIdentifier,
    verifier: TheVerifier,
    threads: TheThreads,
) -> shapes.Gallery:
    """Counts, the thresholds of searches at several levels, and a test of the gallery by itself."""
    counts = await threads.run(gallery.index.counts)
    tests: SelfTests = request.app.state.self_tests
    response.headers["Cache-Control"] = "no-store"
    levels = []
    for fpir in LEVELS:
        try:
            point = shapes.SearchPoint.model_validate(identifier.policy.point(fpir, counts.people, counts.photos))
        except LevelNotSupported:
            point = None
        levels.append(shapes.SearchLevel(fpir=fpir, operating_point=point))
    tested = None
    if not counts.stale:
        caller = context_of(request).shares_as
        tested = await threads.run_long(lambda: tests.run(gallery.index, identifier), caller)
    return shapes.Gallery(
        people=counts.people,
        photos=counts.photos,
        revision=counts.revision,
        contract_id=contract_id(verifier.manifest),
        stale_photos=counts.stale,
        damaged_photos=[shapes.DamagedPhoto(person_id=person, photo_id=photo) for person, photo in counts.damaged],
        operating_points=levels,
        self_test=tested and shapes.SelfTest.model_validate(tested),
        request_id=context_of(request).id,
    )


@router.get(
    "/gallery/export",
    operation_id="export_gallery",
    summary="Everybody, with vectors in the clear",
    dependencies=[needs("export")],
    response_class=Response,
    responses={
        200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}},
        **problems(*PEOPLE),
    },
)
async def export_gallery(request: Request, gallery: TheGallery, threads: TheThreads, caller: TheCaller) -> Response:
    """Gives a JSON object a line, a person each; `scripts/gallery.py import` takes it back.

    The vectors are biometric data, unencrypted. An export is recorded in the audit.
    """
    await threads.change(lambda: gallery.register.record(caller, "export", "begun"), context_of(request).shares_as)
    lines = export(gallery.register)
    first = await threads.run(lambda: next(lines, b""))  # a database that is not there is an answer, not a torn stream
    return StreamingResponse(
        _joined(first, lines), media_type="application/x-ndjson", headers={"Cache-Control": "no-store"}
    )


def _joined(first: bytes, lines: Iterator[bytes]) -> Iterator[bytes]:
    return chain([first] if first else [], lines)


def _limit(given: str) -> int:
    if given not in _LIMITS:
        raise uploads.InvalidParameterError
    return _LIMITS[given]
