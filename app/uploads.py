"""A multipart body to named files and fields, all in memory; knows nothing of images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MAX_FIELD_BYTES = 1024


class NotMultipartError(Exception):
    """The request's content type is not multipart/form-data."""


class MultipartInvalidError(Exception):
    """The body is not what its content type says, or breaks off."""


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
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise NotMultipartError
    body = _Body(images, fields, max_file_bytes, most)
    boundary, delimiters = options.get(b"boundary", b""), 0
    if not boundary:
        raise MultipartInvalidError
    try:
        parser = MultipartParser(boundary, body.callbacks())
        async for chunk in request.stream():
            parser.write(chunk)
            # The parser goes byte by byte where something looks like a delimiter: as cheap to send as dear to read.
            delimiters += chunk.count(b"\r\n--" + boundary)
            if delimiters > len(images) * most + len(fields):
                raise MultipartInvalidError
    except FormParserError as error:
        raise MultipartInvalidError from error
    if not body.ended:
        raise MultipartInvalidError
    parts = {name: bytes(part) for name, part in body.parts.items()}
    files = [*images, *(name for name in parts if name not in images and name not in fields)]
    for name in files:
        if not parts.get(name):
            raise MissingPartError(name)
    return Form(
        {name: parts[name] for name in files},
        {name: parts[name].decode("utf-8", "replace") for name in fields if name in parts},
    )


@dataclass
class _Body:
    """What the parser reports, part by part; each fault is raised where it shows."""

    images: Sequence[str]
    fields: Sequence[str]
    max_file_bytes: int
    most: int
    parts: dict[str, bytearray] = field(default_factory=dict)
    ended: bool = False
    _header: bytes = b""
    _value: bytes = b""
    _disposition: bytes = b""
    _name: str = ""

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self.on_part_begin,
            "on_header_field": self.on_header_field,
            "on_header_value": self.on_header_value,
            "on_header_end": self.on_header_end,
            "on_headers_finished": self.on_headers_finished,
            "on_part_data": self.on_part_data,
            "on_end": self.on_end,
        }

    def on_part_begin(self) -> None:
        self._disposition = b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise MultipartInvalidError
        self._name = options[b"name"].decode("utf-8", "replace")
        expected = self.images if b"filename" in options else self.fields
        if self._name not in expected:
            raise InvalidParameterError
        if b"filename" in options:
            self._name = self._numbered(self._name)
        if self._name in self.parts:
            raise InvalidParameterError
        self.parts[self._name] = bytearray()

    def _numbered(self, name: str) -> str:
        names = [name, *(f"{name}[{number}]" for number in range(1, self.most))]
        return next((free for free in names if free not in self.parts), name)

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self.parts[self._name]
        part += data[start:end]
        if self._name not in self.fields and len(part) > self.max_file_bytes:
            raise FileTooLargeError(self._name)
        if self._name in self.fields and len(part) > _MAX_FIELD_BYTES:
            raise InvalidParameterError

    def on_end(self) -> None:
        self.ended = True


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
