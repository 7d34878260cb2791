"""Reads JSON bodies: base64 pictures to the same form as an upload, or one of the public shapes; knows no images."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TypeVar

import msgspec
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from app.multipart import parameters
from app.uploads import FileError, FileTooLargeError, Form, InvalidParameterError, MissingPartError

_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Shape = TypeVar("Shape", bound=BaseModel)


class NotJsonError(Exception):
    """The request's content type is not application/json."""


class JsonInvalidError(Exception):
    """The body is not a JSON object."""


class InvalidPictureFieldError(FileError):
    """The member of this name is not a string of base64."""


def is_json(request: Request) -> bool:
    kind, _ = parameters(request.headers.get("content-type"))
    return kind == b"application/json"


async def read_form(
    request: Request, images: Sequence[str], fields: Mapping[str, type[str] | type[float]], max_file_bytes: int
) -> Form:
    """Exactly these pictures, each in base64 and not empty, and at most these fields of these types.

    Holds the body and the decoded pictures at most, no other copy. Raises JsonInvalidError, InvalidParameterError,
    InvalidPictureFieldError, MissingPartError or FileTooLargeError.
    """
    expected = {*images, *fields}
    body = await _read(request, max_commas=len(expected) - 1)
    try:
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except _MALFORMED:
        raise JsonInvalidError from None
    # No value may hold a comma, so that their number shows a member that is there twice.
    if not members.keys() <= expected or max(len(members) - 1, 0) != body.count(b","):
        raise InvalidParameterError
    values = {name: _field(members[name], kind) for name, kind in fields.items() if name in members}
    return Form(
        {name: _picture(name, members, max_file_bytes) for name in images},
        {name: value for name, value in values.items() if value is not None},
    )


async def read_shape(request: Request, shape: type[Shape], max_commas: int) -> Shape:
    """The body as this shape, with at most so many commas.

    Raises NotJsonError, JsonInvalidError or InvalidParameterError.
    """
    if not is_json(request):
        raise NotJsonError
    body = await _read(request, max_commas)
    try:
        msgspec.json.decode(body, type=_members(shape))
    except msgspec.ValidationError:
        raise InvalidParameterError from None
    except _MALFORMED:
        pass  # which the shape finds as well, and names
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        raise (JsonInvalidError if _is_malformed(error) else InvalidParameterError) from None


@cache
def _members(shape: type[BaseModel]) -> type[msgspec.Struct]:
    """The shape's names, whatever their values: the first that is unknown ends the reading, of however many."""
    names = [(name, msgspec.Raw, msgspec.Raw()) for name in shape.model_fields]
    return msgspec.defstruct(shape.__name__, names, forbid_unknown_fields=True)


def _is_malformed(error: ValidationError) -> bool:
    """Whether it is no JSON, which is never one fault of several: describing tens of thousands would take long."""
    return (
        error.error_count() == 1 and error.errors(include_url=False, include_input=False)[0]["type"] == "json_invalid"
    )


async def _read(request: Request, max_commas: int) -> bytearray:
    """The whole body. Bounds the values in it, by the commas between them, before any becomes an object."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
    if body.count(b",") > max_commas:
        raise InvalidParameterError
    return body


def _field(member: msgspec.Raw, kind: type[str] | type[float]) -> str | None:
    try:
        value = msgspec.json.decode(member, type=kind | None)
    except _MALFORMED:
        raise InvalidParameterError from None
    return None if value is None else str(value)


def _picture(name: str, members: Mapping[str, msgspec.Raw], max_file_bytes: int) -> bytes:
    try:
        picture = msgspec.json.decode(members.get(name, b'""'), type=bytes)
    except _MALFORMED:
        raise InvalidPictureFieldError(name) from None
    if not picture:
        raise MissingPartError(name)
    if len(picture) > max_file_bytes:
        raise FileTooLargeError(name)
    return picture
