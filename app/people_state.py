"""What the routes of people take from the service, and which refusals they share; no route is here."""

from typing import Annotated, cast

from fastapi import Depends, Request

from app.errors import ErrorKind
from app.gallery.gallery import Gallery
from app.inference.enrolment import Enrolment
from app.inference.identification import Identifier
from app.inference.in_threads import InThreads
from app.request_context import context_of
from app.routes import BUSY, CALLER
from app.scopes import needs

WORK = tuple(kind for kind in BUSY if kind is not ErrorKind.NOT_READY)
"""What is refused where nothing is embedded."""
PEOPLE = (*CALLER, ErrorKind.FORBIDDEN, ErrorKind.INVALID_PARAMETER, *WORK, ErrorKind.GALLERY_UNAVAILABLE)


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
