"""HTTP only: people and their photos, put, listed, enrolled and erased."""

import base64
import binascii
import re
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Query, Request, Response

from app import json_bodies, uploads
from app import people_schemas as shapes
from app.description import identity
from app.errors import ErrorKind, kind_of
from app.gallery.gallery import Gallery
from app.gallery.records import Person, Profile
from app.gallery.records import Receipt as Erased
from app.inference.enrolment import Accepted, Enrolment, EnrolmentRejected, Rejected
from app.inference.identification import Identifier
from app.inference.in_threads import InThreads
from app.openapi import json_body, pictures_body, problems
from app.request_context import context_of
from app.routes import BUSY, CALLER, PICTURE, UPLOAD, TheSettings, TheVerifier
from app.schemas import Quality
from app.scopes import needs

router = APIRouter(tags=["people"])

MAX_IMAGES = 10
_MAX_COMMAS = 5000
"""Of a profile: more than 4 KB of metadata and the texts can hold."""
_MAX_PROFILE_BYTES = 2**16
"""More than these are in JSON, each character escaped."""
_REVISION = re.compile(r'"(\d{1,18})"')
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
WORK = tuple(kind for kind in BUSY if kind is not ErrorKind.NOT_READY)
"""What is refused where nothing is embedded."""
PEOPLE = (*CALLER, ErrorKind.FORBIDDEN, ErrorKind.INVALID_PARAMETER, *WORK, ErrorKind.GALLERY_UNAVAILABLE)
_BODY = (
    ErrorKind.JSON_INVALID,
    ErrorKind.REQUEST_TIMEOUT,
    ErrorKind.BODY_TOO_LARGE,
    ErrorKind.UNSUPPORTED_MEDIA_TYPE,
)


async def gallery_of(request: Request) -> Gallery:
    return cast("Gallery", request.app.state.gallery)


async def threads_of(request: Request) -> InThreads:
    return cast("InThreads", request.app.state.threads)


async def enrolment_of(request: Request) -> Enrolment:
    return cast("Enrolment", request.app.state.enrolment)


async def identifier_of(request: Request) -> Identifier:
    return cast("Identifier", request.app.state.identifier)


async def caller_of(request: Request) -> str:
    return cast("str", context_of(request).caller)


TheGallery = Annotated[Gallery, Depends(gallery_of)]
TheThreads = Annotated[InThreads, Depends(threads_of)]
TheEnrolment = Annotated[Enrolment, Depends(enrolment_of)]
TheIdentifier = Annotated[Identifier, Depends(identifier_of)]
TheCaller = Annotated[str, Depends(caller_of)]
Enrols = [needs("enrol")]


@router.put(
    "/people/{person_id}",
    operation_id="put_person",
    summary="Make or change a person",
    status_code=201,
    dependencies=Enrols,
    responses={
        200: {"model": shapes.Person, "description": "The person was there; `ETag` is the revision"},
        **problems(
            *PEOPLE,
            *_BODY,
            ErrorKind.GALLERY_FULL,
            ErrorKind.PERSON_DAMAGED,
            ErrorKind.PRECONDITION_FAILED,
        ),
    },
    openapi_extra={
        **json_body(shapes.ProfileRequest),
        "parameters": [
            {
                "name": "If-Match",
                "in": "header",
                "schema": {"type": "string"},
                "description": "The `ETag` of what you saw, or `*`: the person must still be so, else 412",
            }
        ],
    },
)
async def put_person(
    request: Request,
    response: Response,
    person_id: shapes.NewPersonId,
    gallery: TheGallery,
    threads: TheThreads,
    caller: TheCaller,
) -> shapes.Person:
    """Answers 201 for a new person and 200 for one who was there. The same again changes nothing."""
    wish = await json_bodies.read_shape(request, shapes.ProfileRequest, _MAX_PROFILE_BYTES, _MAX_COMMAS)
    if wish.expires_at and wish.expires_at <= gallery.register.clock():
        raise uploads.InvalidParameterError
    profile = Profile(wish.display_name, wish.metadata, wish.consent_reference)
    if_match = _if_match(request)
    person, made = await threads.change(
        lambda: gallery.register.put(person_id, profile, wish.expires_at, caller, if_match)
    )
    response.status_code = 201 if made else 200
    return _person(request, response, person)


@router.get(
    "/people",
    operation_id="list_people",
    summary="List people by id",
    response_model=shapes.People,
    dependencies=Enrols,
    responses=problems(*PEOPLE),
)
async def list_people(
    request: Request,
    gallery: TheGallery,
    threads: TheThreads,
    limit: Annotated[int, Query(ge=1, le=200, description="Most people in the answer")] = 100,
    cursor: Annotated[str, Query(max_length=200, description="`next_cursor` of the page before")] = "",
    prefix: Annotated[str, Query(max_length=64, description="Only ids that begin with it")] = "",
) -> Response:
    """Gives people in the order of their ids, page by page; whoever is there all the while is on exactly one page."""
    context, after = context_of(request), _after(cursor)
    if "\0" in after + prefix:  # which no id has, and PostgreSQL does not take
        raise uploads.InvalidParameterError

    def answer() -> str:
        """In the thread as well: to write a page takes as long as to read it, in which the loop would serve nobody."""
        page = gallery.register.people(limit, after, prefix)
        return shapes.People(
            people=[shapes.PersonSummary(**_summary(person)) for person in page.people],
            next_cursor=base64.urlsafe_b64encode(page.next_after.encode()).decode() if page.next_after else None,
            request_id=context.id,
        ).model_dump_json()

    return Response(
        await threads.run_long(answer, context.shares_as),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


@router.get(
    "/people/{person_id}",
    operation_id="get_person",
    summary="A person, and which photos are enrolled",
    dependencies=Enrols,
    responses=problems(*PEOPLE, ErrorKind.PERSON_NOT_FOUND),
)
async def get_person(
    request: Request, response: Response, person_id: shapes.PersonId, gallery: TheGallery, threads: TheThreads
) -> shapes.Person:
    """Never gives a vector, and no photo: the service does not keep them."""
    return _person(request, response, await threads.run(lambda: gallery.register.person(person_id)))


@router.delete(
    "/people/{person_id}",
    operation_id="erase_person",
    summary="Erase a person with all photos",
    dependencies=Enrols,
    responses=problems(*PEOPLE, ErrorKind.PERSON_NOT_FOUND, ErrorKind.PRECONDITION_FAILED),
)
async def erase_person(
    request: Request, person_id: shapes.PersonId, gallery: TheGallery, threads: TheThreads, caller: TheCaller
) -> shapes.Receipt:
    """Erases all or nothing, for good: with SQLite no byte of it is left in the file. Again it answers 404."""
    if_match = _if_match(request)
    return _receipt(request, await threads.change(lambda: gallery.erase(person_id, caller, if_match)))


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
    return _receipt(request, await threads.change(lambda: gallery.erase_photo(person_id, photo_id, caller)))


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
        caller,
        context_of(request).deadline,
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


def _if_match(request: Request) -> str | None:
    """The revision that the caller saw, or `*`; one that no person has, where the header is nothing of ours."""
    given = request.headers.get("if-match")
    if given is None or given == "*":
        return given
    found = _REVISION.fullmatch(given)
    return found[1] if found else ""


def _after(cursor: str) -> str:
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise uploads.InvalidParameterError from None


def _one_of(given: str, *allowed: str) -> str:
    if given not in allowed:
        raise uploads.InvalidParameterError
    return given


def _summary(person: Person) -> dict[str, object]:
    profile = person.profile or Profile()
    return {
        "person_id": person.person_id,
        "display_name": profile.display_name,
        "metadata": profile.metadata,
        "consent_reference": profile.consent_reference,
        "created_at": person.created_at,
        "updated_at": person.updated_at,
        "expires_at": person.expires_at,
        "damaged": person.profile is None,
    }


def _person(request: Request, response: Response, person: Person) -> shapes.Person:
    response.headers["ETag"] = f'"{person.revision}"'
    response.headers["Cache-Control"] = "no-store"
    photos = [shapes.Photo.model_validate(photo) for photo in person.photos]
    return shapes.Person(**_summary(person), photos=photos, request_id=context_of(request).id)


def _receipt(request: Request, erased: Erased) -> shapes.Receipt:
    return shapes.Receipt(**vars(erased), request_id=context_of(request).id)


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
