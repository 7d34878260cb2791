"""Reads JSON bodies: base64 pictures to the same form as an upload, or one of the public shapes; knows no images.

Whatever comes, no piece of the reading takes long: everybody else waits for it.
"""

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TypeVar

import msgspec
import numpy as np
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from app import base64_pictures
from app.bounded_request import BodyTooLargeError
from app.in_pieces import InPieces, Pieces
from app.malformed_json import MALFORMED
from app.multipart import parameters
from app.uploads import MAX_FIELD_BYTES, FileError, FileTooLargeError, Form, InvalidParameterError, MissingPartError

_LONG = 4096
"""A string of more bytes is read by itself."""
_MOST_BESIDE = 2**16
"""Bytes of a form beside its long strings, spaces included."""
_OBJECT = re.compile(rb"\s{0,%d}+\{" % _MOST_BESIDE)
"""To pass over 21 MB of spaces took 140 ms."""

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
    request: Request,
    images: Sequence[str],
    fields: Mapping[str, type[str] | type[float]],
    max_file_bytes: int,
    in_pieces: InPieces,
    caller: str,
) -> Form:
    """Exactly these pictures, each in base64 and not empty, and at most these fields of these types.

    Holds the body and the decoded pictures at most, no other copy. Raises JsonInvalidError, InvalidParameterError,
    InvalidPictureFieldError, MissingPartError or FileTooLargeError.
    """
    body = await _read(request, max_commas=len(images) + len(fields) - 1)
    return await in_pieces.run(_form(body, images, fields, max_file_bytes), caller)


async def read_object(request: Request, max_bytes: int, max_commas: int) -> bytearray:
    """The body, which begins as an object does, of at most so many bytes and commas.

    Raises NotJsonError, JsonInvalidError, BodyTooLargeError or InvalidParameterError, as soon as it shows.
    """
    if not is_json(request):
        raise NotJsonError
    return await _read(request, max_commas, max_bytes)


async def read_shape(request: Request, shape: type[Shape], max_bytes: int, max_commas: int) -> Shape:
    """The body as this shape; for a shape that is small. Raises as `read_object` does."""
    body = await read_object(request, max_bytes, max_commas)
    members_of(body, shape)
    try:
        return shape.model_validate_json(body)
    except ValidationError:
        raise InvalidParameterError from None


def members_of(body: bytearray, shape: type[BaseModel]) -> dict[str, bytes]:
    """The JSON of each member that is there, by the shape's names, each there once.

    Raises JsonInvalidError or InvalidParameterError.
    """
    try:
        found = msgspec.json.decode(body, type=_members(shape))
    except msgspec.ValidationError:
        raise InvalidParameterError from None
    except MALFORMED:
        raise JsonInvalidError from None
    members = {name: json for name in shape.model_fields if (json := bytes(getattr(found, name)))}
    # A member that is there twice has a comma that no other accounts for.
    if count(b",", body) != max(len(members) - 1, 0) + sum(count(b",", json) for json in members.values()):
        raise InvalidParameterError
    return members


def field(member: bytes | msgspec.Raw, kind: type[str] | type[float]) -> str | None:
    """A short text or a number as a text, None for null. Raises InvalidParameterError."""
    if memoryview(member).nbytes > MAX_FIELD_BYTES:
        raise InvalidParameterError
    try:
        value = msgspec.json.decode(member, type=kind | None)
    except MALFORMED:
        raise InvalidParameterError from None
    return None if value is None else str(value)


def count(byte: bytes, json: bytes | bytearray) -> int:
    """How often this byte is in it: ten times as fast as bytes count, which matters for megabytes."""
    return int(np.count_nonzero(np.frombuffer(json, np.uint8) == byte[0]))


@cache
def _members(shape: type[BaseModel]) -> type[msgspec.Struct]:
    """The shape's names, whatever their values: the first that is unknown ends the reading, of however many."""
    names = [(name, msgspec.Raw, msgspec.Raw()) for name in shape.model_fields]
    return msgspec.defstruct(shape.__name__, names, forbid_unknown_fields=True)


async def _read(request: Request, max_commas: int, max_bytes: float = math.inf) -> bytearray:
    """The whole body. Bounds the values in it, by the commas between them, before any becomes an object."""
    body = bytearray()
    commas = 0
    async for chunk in request.stream():
        body += chunk
        commas += count(b",", chunk)
        if len(body) > max_bytes:
            raise BodyTooLargeError
        if commas > max_commas:
            raise InvalidParameterError if _OBJECT.match(body) else JsonInvalidError
    if not _OBJECT.match(body):
        raise JsonInvalidError
    return body


def _form(
    body: bytearray, images: Sequence[str], fields: Mapping[str, type[str] | type[float]], max_file_bytes: int
) -> Pieces[Form]:
    rest, long = _without_long_strings(body, most=2 * (len(images) + len(fields)))
    yield
    try:
        members = msgspec.json.decode(rest, type=dict[str, msgspec.Raw])
    except MALFORMED:
        raise JsonInvalidError from None
    # No value may hold a comma, so that their number shows a member that is there twice.
    if not members.keys() <= {*images, *fields} or max(len(members) - 1, 0) != rest.count(b","):
        raise InvalidParameterError
    values = {name: field(members[name], kind) for name, kind in fields.items() if name in members}
    files = {}
    for name in images:
        files[name] = yield from _picture(name, bytes(members.get(name, b'""')), long, max_file_bytes)
    return Form(files, {name: value for name, value in values.items() if value is not None})


def _without_long_strings(body: bytearray, most: int) -> tuple[bytearray, dict[str, memoryview]]:
    """The body with long strings emptied, of its first `most`; and these by the string before: their member's name.

    A string is taken to end at the next quote. Where an escaped one is in it, the rest is no JSON, or it no base64.
    """
    rest, long = bytearray(), {}
    view, kept, end, name = memoryview(body), 0, -1, b""
    for _ in range(most):
        start = body.find(b'"', end + 1) + 1
        end = body.find(b'"', start) if start else -1
        if end < 0:
            break
        if end - start > _LONG:
            rest += view[kept:start]
            long[_unquoted(name)] = view[start:end]
            kept, name = end, b""
        else:
            name = bytes(view[start:end])
    if len(body) - kept + len(rest) > _MOST_BESIDE:
        raise JsonInvalidError if start and end < 0 else InvalidParameterError
    rest += view[kept:]
    return rest, long


def _unquoted(text: bytes) -> str:
    """What a string of JSON says, given what stands between its quotes. Raises JsonInvalidError."""
    try:
        return msgspec.json.decode(b'"%b"' % text, type=str)
    except MALFORMED:
        raise JsonInvalidError from None


def _picture(name: str, member: bytes, long: Mapping[str, memoryview], max_file_bytes: int) -> Pieces[bytes]:
    """`member`: its JSON, an empty string for a long one. Raises one of FileError."""
    if not member.startswith(b'"'):
        raise InvalidPictureFieldError(name)
    text = long[name] if member == b'""' and name in long else memoryview(bytearray(member[1:-1]))
    try:
        picture = yield from base64_pictures.decoded(text)
    except base64_pictures.NotBase64Error:
        raise InvalidPictureFieldError(name) from None
    if not picture:
        raise MissingPartError(name)
    if len(picture) > max_file_bytes:
        raise FileTooLargeError(name)
    return picture
