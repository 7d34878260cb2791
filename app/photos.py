"""HTTP only: a person's photos, enrolled and erased."""

from fastapi import APIRouter, Request, Response

from app import people_schemas as shapes
from app import uploads
from app.description import identity
from app.errors import ErrorKind, kind_of
from app.inference.enrolment import Accepted, EnrolmentRejected, Rejected
from app.openapi import pictures_body, problems
from app.people_state import PEOPLE, Enrols, TheCaller, TheEnrolment, TheGallery, TheThreads
from app.request_context import context_of
from app.routes import BUSY, CALLER, PICTURE, UPLOAD, TheSettings, TheVerifier, limits_of
from app.schemas import Quality

router = APIRouter(tags=["people"])

MAX_IMAGES = 10
_ENROLMENT_FIELDS = {
    "gate": {
        "title": "Gate",
        "type": "string",
        "enum": ["strict", "warn"],
        "description": "A photo with a fault is rejected (`strict`, if left out), or enrolled with warnings",
    },
    "allow_lookalike": {
        "type": "boolean",
        "description": "Whether to enrol although very like another person; if left out, not",
    },
}
_DETAILS = {
    "several_faces": "There is more than one face in the picture.",
    "face_too_small": "The face is too small.",
    "blurred": "The face is blurred.",
    "too_dark": "The face is too dark.",
    "too_bright": "The face is too bright.",
    "extreme_pose": "The head is turned too far to a side.",
    "face_cut": "A part of the face lies beyond the picture.",
    "out_of_domain": "The face is unlike those that the error rates were measured on.",
    "differs_from_person": "The face is unlike those of the person's other photos.",
    "resembles_other_person": "The face is very like that of another enrolled person.",
    "too_many_photos": "The person has as many photos as the limit allows.",
}


@router.post(
    "/people/{person_id}/photos",
    operation_id="enrol_photos",
    summary="Enrol photos of a person",
    status_code=201,
    dependencies=Enrols,
    responses=problems(
        *CALLER,
        ErrorKind.FORBIDDEN,
        *UPLOAD,
        *(kind for kind in PICTURE if kind in (ErrorKind.MISSING_PART, ErrorKind.INVALID_PARAMETER)),
        ErrorKind.PERSON_NOT_FOUND,
        ErrorKind.GALLERY_FULL,
        ErrorKind.PERSON_DAMAGED,
        ErrorKind.ENROLMENT_REJECTED,
        *BUSY,
        ErrorKind.GALLERY_UNAVAILABLE,
    ),
    openapi_extra=pictures_body("EnrolPhotos", "images", MAX_IMAGES, _ENROLMENT_FIELDS),
)
async def enrol_photos(
    request: Request,
    response: Response,
    person_id: shapes.NewPersonId,
    enrolment: TheEnrolment,
    verifier: TheVerifier,
    settings: TheSettings,
    caller: TheCaller,
) -> shapes.Enrolment:
    """Enrols the photos that are good enough, all at once, and makes the person if need be.

    With `gate=strict` a photo with a fault is rejected, with `gate=warn` enrolled with a warning. A face that is very
    like another person's is rejected either way, unless `allow_lookalike=true`, for twins. The same file sent again is
    `already_enrolled`: sending a request again is always safe. Photos themselves are never kept.
    """
    form = await uploads.read_form(
        request, ["images"], ["gate", "allow_lookalike"], settings.max_file_bytes, most=MAX_IMAGES
    )
    enrolled = await enrolment.enrol(
        person_id,
        list(form.files.values()),
        *limits_of(request),
        caller=caller,
        strict=_one_of(form.fields.get("gate", "strict"), "strict", "warn") == "strict",
        lookalike=_one_of(form.fields.get("allow_lookalike", "false").lower(), "true", "false") == "true",
    )
    response.headers["Cache-Control"] = "no-store"
    rejected = [_rejected(photo) for photo in enrolled.rejected]
    if not enrolled.accepted:
        raise EnrolmentRejected([photo.model_dump(exclude_none=True) for photo in rejected])
    return shapes.Enrolment(
        person_id=person_id,
        accepted=[_accepted(photo) for photo in enrolled.accepted],
        rejected=rejected,
        gallery=shapes.GalleryState.model_validate(enrolled.counts),
        model=identity(verifier.manifest),
        request_id=context_of(request).id,
    )


@router.delete(
    "/people/{person_id}/photos/{photo_id}",
    operation_id="erase_photo",
    summary="Erase one photo of a person",
    dependencies=Enrols,
    responses=problems(*PEOPLE, ErrorKind.PERSON_NOT_FOUND, ErrorKind.PHOTO_NOT_FOUND),
)
async def erase_photo(
    request: Request,
    person_id: shapes.PersonId,
    photo_id: shapes.PhotoId,
    gallery: TheGallery,
    threads: TheThreads,
    caller: TheCaller,
) -> shapes.Receipt:
    context = context_of(request)
    erased = await threads.change(lambda: gallery.erase_photo(person_id, photo_id, caller), context.shares_as)
    return shapes.Receipt(**vars(erased), request_id=context.id)


def _one_of(given: str, *allowed: str) -> str:
    if given not in allowed:
        raise uploads.InvalidParameterError
    return given


def _accepted(photo: Accepted) -> shapes.AcceptedPhoto:
    return shapes.AcceptedPhoto(
        photo_id=photo.photo_id,
        status="enrolled" if photo.new else "already_enrolled",
        quality=Quality.model_validate(photo.quality),
        warnings=list(photo.warnings),
    )


def _rejected(photo: Rejected) -> shapes.RejectedPhoto:
    if isinstance(photo.reason, str):
        code, detail = photo.reason, _DETAILS[photo.reason]
    else:
        kind = kind_of(photo.reason)
        code, detail = kind.code, kind.detail
    return shapes.RejectedPhoto(index=photo.index, code=code, detail=detail, person_id=photo.resembles)
