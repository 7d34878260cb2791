"""HTTP only: people, put, listed and erased."""

import base64
import binascii
import re
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app import json_bodies, uploads
from app import people_schemas as shapes
from app.errors import ErrorKind
from app.gallery.records import Person, Profile
from app.openapi import json_body, problems
from app.people_state import PEOPLE, Enrols, TheCaller, TheGallery, TheThreads
from app.request_context import context_of

router = APIRouter(tags=["people"])

_MAX_COMMAS = 5000
"""Of a profile: more than 4 KB of metadata and the texts can hold."""
_MAX_PROFILE_BYTES = 2**16
"""More than these are in JSON, each character escaped."""
_REVISION = re.compile(r'"(\d{1,18})"')
_BODY = (
    ErrorKind.JSON_INVALID,
    ErrorKind.REQUEST_TIMEOUT,
    ErrorKind.BODY_TOO_LARGE,
    ErrorKind.UNSUPPORTED_MEDIA_TYPE,
)


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
        lambda: gallery.register.put(person_id, profile, wish.expires_at, caller, if_match),
        context_of(request).shares_as,
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
    if_match, context = _if_match(request), context_of(request)
    erased = await threads.change(lambda: gallery.erase(person_id, caller, if_match), context.shares_as)
    return shapes.Receipt(**vars(erased), request_id=context.id)


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
