"""A multipart body to named files and fields, all in memory; knows nothing of images."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

_MAX_FIELD_BYTES = 1024


class NotMultipartError(Exception):
    """The request's content type is not multipart/form-data."""


class MultipartInvalidError(Exception):
    """The body is not what its content type says, or holds more parts than any request needs."""


class FileTooLargeError(Exception):
    """A file is larger than the limit."""

    def __init__(self, image: str) -> None:
        super().__init__(image)
        self.image = image


class MissingPartError(Exception):
    """A file that the request needs is absent or empty."""

    def __init__(self, image: str) -> None:
        super().__init__(image)
        self.image = image


class InvalidParameterError(Exception):
    """A part is unknown, given twice, of the wrong kind, or has a value that makes no sense."""


@dataclass(frozen=True)
class Form:
    files: dict[str, bytes]
    fields: dict[str, str]


async def read_form(request: Request, images: Sequence[str], fields: Sequence[str], max_file_bytes: int) -> Form:
    """Exactly these files, each once and not empty, and at most these text fields. Raises the errors above."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "multipart/form-data":
        raise NotMultipartError
    files: dict[str, bytes] = {}
    texts: dict[str, str] = {}
    for name, value in await _parts(request, len(images), len(fields)):
        if name in files or name in texts or name not in (*images, *fields):
            raise InvalidParameterError
        if isinstance(value, UploadFile) and name in images:
            files[name] = await _content(name, value, max_file_bytes)
        elif isinstance(value, str) and name in fields:
            texts[name] = value
        else:
            raise InvalidParameterError
    for name in images:
        if not files.get(name):
            raise MissingPartError(name)
    return Form(files, texts)


async def _parts(request: Request, files: int, fields: int) -> list[tuple[str, str | UploadFile]]:
    # One part more than needed is let through, so that the answer can say what is wrong with it.
    parser = _Parser(
        request.headers, request.stream(), max_files=files + 1, max_fields=fields + 1, max_part_size=_MAX_FIELD_BYTES
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise MultipartInvalidError from error
    if not parser.complete:
        raise MultipartInvalidError
    return form.multi_items()


async def _content(name: str, upload: UploadFile, max_file_bytes: int) -> bytes:
    if (upload.size or 0) > max_file_bytes:
        raise FileTooLargeError(name)
    return await upload.read()


class _Parser(MultiPartParser):
    spool_max_size = sys.maxsize  # never to disk: the body's size is bounded before it is read
    complete = False

    def on_end(self) -> None:
        self.complete = True


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
