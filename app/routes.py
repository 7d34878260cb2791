"""HTTP only: reads the uploads, calls the verifier, shapes the answer."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Request, Response

from app import compared, json_bodies, schemas, uploads
from app.description import description, identity
from app.errors import ErrorKind
from app.in_pieces import InPieces
from app.inference.verifier import Timings, Verifier
from app.metrics import Metrics
from app.openapi import FACES2, FMR, json_body, picture_body, problems
from app.request_context import context_of
from app.scopes import needs
from app.settings import Settings
from model.decision import Decision
from model.faces.face import Face

router = APIRouter(tags=["verification"])


# Coroutines, for FastAPI runs plain functions in threads of their own.
async def verifier_of(request: Request) -> Verifier:
    return cast("Verifier", request.app.state.verifier)


async def settings_of(request: Request) -> Settings:
    return cast("Settings", request.app.state.settings)


def metrics_of(request: Request) -> Metrics:
    return cast("Metrics", request.app.state.metrics)


def in_pieces_of(request: Request) -> InPieces:
    return cast("InPieces", request.app.state.in_pieces)


def limits_of(request: Request) -> tuple[float, str]:
    """When the work must have begun, and with whom it shares."""
    context = context_of(request)
    return context.deadline, context.shares_as


TheVerifier = Annotated[Verifier, Depends(verifier_of)]
TheSettings = Annotated[Settings, Depends(settings_of)]


CALLER = (ErrorKind.HEAD_INVALID, ErrorKind.UNAUTHORIZED, ErrorKind.ORIGIN_NOT_ALLOWED)
UPLOAD = (
    ErrorKind.MULTIPART_INVALID,
    ErrorKind.JSON_INVALID,
    ErrorKind.REQUEST_TIMEOUT,
    ErrorKind.BODY_TOO_LARGE,
    ErrorKind.FILE_TOO_LARGE,
    ErrorKind.UNSUPPORTED_MEDIA_TYPE,
)
PICTURE = (
    ErrorKind.UNSUPPORTED_IMAGE_FORMAT,
    ErrorKind.MISSING_PART,
    ErrorKind.INVALID_PARAMETER,
    ErrorKind.IMAGE_CORRUPT,
    ErrorKind.IMAGE_TOO_SMALL,
    ErrorKind.IMAGE_TOO_MANY_PIXELS,
    ErrorKind.IMAGE_TOO_EXPENSIVE,
    ErrorKind.IMAGE_ANIMATED,
    ErrorKind.NO_FACE,
)
COMPARISON = (
    ErrorKind.JSON_INVALID,
    ErrorKind.REQUEST_TIMEOUT,
    ErrorKind.CONTRACT_MISMATCH,
    ErrorKind.BODY_TOO_LARGE,
    ErrorKind.UNSUPPORTED_MEDIA_TYPE,
    ErrorKind.INVALID_PARAMETER,
    ErrorKind.LEVEL_NOT_SUPPORTED,
)
BUSY = (
    ErrorKind.RATE_LIMITED,
    ErrorKind.OVERLOADED,
    ErrorKind.DEADLINE_EXCEEDED,
    ErrorKind.DRAINING,
    ErrorKind.NOT_READY,
)


@router.post(
    "/verify",
    operation_id="verify",
    summary="Do two photos show the same person?",
    dependencies=[needs("verify")],
    responses=problems(*CALLER, ErrorKind.FORBIDDEN, *UPLOAD, *PICTURE, ErrorKind.LEVEL_NOT_SUPPORTED, *BUSY),
    response_model_exclude_unset=True,
    openapi_extra=picture_body("Verify", ["image1", "image2"], {"fmr": FMR, "faces2": FACES2}),
)
async def verify(
    request: Request, response: Response, verifier: TheVerifier, settings: TheSettings
) -> schemas.Verification:
    """Compares the face in `image1` with that in `image2` and decides at a false match rate (`fmr`).

    With `faces2=all` it compares with each face of a group picture, the 50 largest of them, and chooses the threshold
    so that the chance of any false match among them is at most `fmr`.

    The distance is Euclidean: 0 for a picture against itself, lower is more alike, symmetric; for embeddings of unit
    length it ends at 2. There is no liveness detection: a photo of a photo matches.
    """
    form = await read_pictures(request, ["image1", "image2"], {"fmr": float, "faces2": str}, settings)
    fmr, faces2 = uploads.parse_rate(form.fields.get("fmr")), uploads.parse_faces2(form.fields.get("faces2"))
    judge = verifier.verify_all if faces2 == "all" else verifier.verify
    verified = await judge(form.files["image1"], form.files["image2"], fmr, *limits_of(request))
    record(request, response, verified.timings, list(verified.faces.values()))
    metrics_of(request).decision(verified.decision, alone=not verified.comparisons)
    faces = schemas.VerificationFaces.model_validate(verified.faces, from_attributes=True)
    answer = schemas.Verification(**decided(request, verifier, verified.decision), faces=faces)
    if not verified.comparisons:
        return answer
    comparisons = [schemas.FaceComparison.model_validate(comparison) for comparison in verified.comparisons]
    return answer.model_copy(update={"comparisons": comparisons})


@router.post(
    "/embed",
    operation_id="embed",
    summary="The embedding of the face in a photo",
    dependencies=[needs("verify")],
    responses=problems(*CALLER, ErrorKind.FORBIDDEN, *UPLOAD, *PICTURE, *BUSY),
    openapi_extra=picture_body("Embed", ["image"]),
)
async def embed(
    request: Request, response: Response, verifier: TheVerifier, settings: TheSettings
) -> schemas.Embedding:
    """Gives the numbers that stand for a face. They are biometric data; compare them only under one `contract_id`."""
    form = await read_pictures(request, ["image"], {}, settings)
    embedded = await verifier.embed(form.files["image"], *limits_of(request))
    record(request, response, embedded.timings, [embedded.face])
    return schemas.Embedding(
        embedding=embedded.embedding.tolist(),
        dimension=len(embedded.embedding),
        metric=verifier.manifest.metric,
        normalized=verifier.manifest.normalized,
        face=schemas.Face.model_validate(embedded.face),
        model=identity(verifier.manifest),
        request_id=context_of(request).id,
    )


@router.post(
    "/compare",
    operation_id="compare",
    summary="Compare stored embeddings",
    dependencies=[needs("verify")],
    response_model=schemas.Comparison,
    responses=problems(*CALLER, ErrorKind.FORBIDDEN, *COMPARISON, *BUSY),
    openapi_extra=json_body(schemas.ComparisonRequest),
)
async def compare_embeddings(request: Request, verifier: TheVerifier) -> Response:
    """Compares one embedding with up to 1,000 others, each at the same false match rate.

    The rate holds for each comparison by itself: among 1,000 strangers at FMR 0.001, expect one false match.
    """
    manifest, context = verifier.manifest, context_of(request)
    dimension = manifest.embedding_size
    body = await json_bodies.read_object(request, compared.max_bytes(dimension), compared.max_commas(dimension))
    work = compared.answer(body, manifest, verifier.policy, context.id)
    answer = await in_pieces_of(request).run(work, context.shares_as)
    return Response(answer, headers={"Cache-Control": "no-store"}, media_type="application/json")


@router.get("/model", operation_id="get_model", summary="Describe the loaded bundle", responses=problems(*CALLER))
async def describe(verifier: TheVerifier, settings: TheSettings) -> schemas.Model:
    """Gives the bundle's contract id, its operating points with their evidence, the limits on pictures and licences."""
    return description(verifier.manifest, verifier.policy, settings)


async def read_pictures(
    request: Request, images: Sequence[str], fields: Mapping[str, type[str] | type[float]], settings: Settings
) -> uploads.Form:
    """These pictures and fields, from an upload or from JSON. Raises what either reader raises."""
    if json_bodies.is_json(request):
        caller = context_of(request).shares_as
        return await json_bodies.read_form(
            request, images, fields, settings.max_file_bytes, in_pieces_of(request), caller
        )
    return await uploads.read_form(request, images, list(fields), settings.max_file_bytes)


def decided(request: Request, verifier: Verifier, decision: Decision) -> dict[str, Any]:
    """The members that every answer about one distance has."""
    point = decision.operating_point
    return {
        "same": decision.same,
        "distance": decision.distance,
        "threshold": point.threshold,
        "metric": verifier.manifest.metric,
        "operating_point": schemas.OperatingPoint.model_validate(point),
        "fmr_estimate": schemas.FmrEstimate.model_validate(decision.fmr_estimate),
        "model": identity(verifier.manifest),
        "request_id": context_of(request).id,
    }


def record(request: Request, response: Response, timings: Timings, faces: Sequence[Face]) -> None:
    """Counts the faces and tells how long each stage took."""
    context_of(request).timings = timings
    metrics_of(request).faces(faces, timings)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Server-Timing"] = ", ".join(
        f"{stage};dur={seconds * 1000:.2f}" for stage, seconds in vars(timings).items()
    )
