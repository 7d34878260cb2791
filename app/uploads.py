"""A multipart body to named files and fields, all in memory; knows nothing of images."""

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request

from app.multipart import Multipart, TooLongError

MAX_FIELD_BYTES = 1024


class InvalidParameterError(Exception):
    """A part is unknown, given twice, of the wrong kind, or has a value that makes no sense."""


class FileError(Exception):
    """Something is wrong with the file of the part named `image`."""

    def __init__(self, image: str) -> None:
        super().__init__(image)
        self.image = image


class FileTooLargeError(FileError):
    """It is larger than the limit."""


class MissingPartError(FileError):
    """It is absent or empty."""


@dataclass(frozen=True)
class Form:
    files: dict[str, bytes]
    fields: dict[str, str]


async def read_form(
    request: Request, images: Sequence[str], fields: Sequence[str], max_file_bytes: int, most: int = 1
) -> Form:
    """Exactly these files, each once and not empty, and at most these text fields.

    Where a file may be given more than once, up to `most` times, the others are called `images[1]`, `images[2]` ...
    Reads no further than the first fault. Raises the errors above.
    """
    body = Multipart(request.headers.get("content-type"), request.stream())
    files: dict[str, bytes] = {}
    texts: dict[str, str] = {}
    while part := await body.next_part():
        if part.name not in (images if part.is_file else fields):
            raise InvalidParameterError
        name = _numbered(part.name, files, most) if part.is_file else part.name
        if name in files or name in texts:
            raise InvalidParameterError
        if part.is_file:
            files[name] = await _file(body, name, max_file_bytes)
        else:
            texts[name] = await _text(body)
    for name in [*images, *files]:
        if not files.get(name):
            raise MissingPartError(name)
    return Form(files, texts)


def _numbered(name: str, taken: Container[str], most: int) -> str:
    names = [name, *(f"{name}[{number}]" for number in range(1, most))]
    return next((free for free in names if free not in taken), name)


async def _file(body: Multipart, name: str, max_bytes: int) -> bytes:
    try:
        return await body.content(max_bytes)
    except TooLongError:
        raise FileTooLargeError(name) from None


async def _text(body: Multipart) -> str:
    try:
        return (await body.content(MAX_FIELD_BYTES)).decode("utf-8", "replace")
    except TooLongError:
        raise InvalidParameterError from None


def parse_faces2(text: str | None) -> Literal["largest", "all"]:
    """Which faces of the second picture are meant. Raises InvalidParameterError."""
    if text in (None, "largest"):
        return "largest"
    if text == "all":
        return "all"
    raise InvalidParameterError


def parse_rate(text: str | None) -> float | None:
    """An error rate between 0 and 1, or None where none was given. Raises InvalidParameterError."""
    if text is None:
        return None
    try:
        rate = float(text)
    except ValueError:
        raise InvalidParameterError from None
    if not (math.isfinite(rate) and 0 < rate < 1):
        raise InvalidParameterError
    return rate
