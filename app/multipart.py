"""A multipart body part by part, as it comes; knows no field of this service.

Source: RFC 2046, section 5.1.1, and RFC 7578. The next delimiter is looked for by `bytearray.find`: what looks like a
delimiter and is none costs no more than anything else.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header

_MAX_BOUNDARY_BYTES = 70  # RFC 2046, 5.1.1
_MAX_HEAD_BYTES = 8192
_MAX_VALUE_BYTES = 2048  # to parse a value's parameters takes time that grows with the square of its length
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)", re.DOTALL)


class NotMultipartError(Exception):
    """The request's content type is not multipart/form-data."""


class MultipartInvalidError(Exception):
    """The body is not what its content type says, or breaks off."""


class TooLongError(Exception):
    """A part is longer than it may be."""


@dataclass(frozen=True)
class Part:
    """The head of a part."""

    name: str
    is_file: bool


def parameters(value: str | bytes | None) -> tuple[bytes, dict[bytes, bytes]]:
    """A header's value, in lower case, and its parameters; nothing of either where it is longer than any in use."""
    return parse_options_header(value) if value and len(value) <= _MAX_VALUE_BYTES else (b"", {})


class Multipart:
    """The parts of a body, each head to be followed by its content. `stream`: the body in pieces of any size."""

    def __init__(self, content_type: str | None, stream: AsyncIterator[bytes]) -> None:
        """Raises NotMultipartError or MultipartInvalidError."""
        kind, options = parameters(content_type)
        if kind != b"multipart/form-data":
            raise NotMultipartError
        boundary = options.get(b"boundary", b"")
        if not 0 < len(boundary) <= _MAX_BOUNDARY_BYTES:
            raise MultipartInvalidError
        self._delimiter = b"\r\n--" + boundary
        self._stream = stream
        self._buffer = bytearray(b"\r\n")  # the first delimiter's, which the head of the request has taken
        self._begun = False

    async def next_part(self) -> Part | None:
        """The head of the next part, whose `content` must be taken before the one after it; None: there is no more.

        Raises MultipartInvalidError.
        """
        if not self._begun:
            await self._until(self._delimiter, 2)  # an empty line may come first
            self._begun = True
        while len(self._buffer) < 2:
            await self._read()
        if self._buffer.startswith(b"--"):
            async for _ in self._stream:
                pass  # what follows the last delimiter means nothing
            return None
        return _part(await self._until(b"\r\n\r\n", _MAX_HEAD_BYTES))

    async def content(self, at_most: int) -> bytes:
        """The current part's. Raises TooLongError, no later than this shows, or MultipartInvalidError."""
        return await self._until(self._delimiter, at_most, TooLongError)

    async def _until(self, end: bytes, at_most: int, too_long: type[Exception] = MultipartInvalidError) -> bytes:
        """Takes what comes before `end` out of the buffer, and `end` as well: nothing is held twice.

        Bytes at a bytearray's beginning go without moving the others.
        """
        searched = 0
        while (found := self._buffer.find(end, max(0, searched - len(end) + 1))) < 0:
            searched = len(self._buffer)
            if searched >= at_most + len(end):
                raise too_long
            await self._read()
        if found > at_most:
            raise too_long
        taken = bytes(memoryview(self._buffer)[:found])
        del self._buffer[: found + len(end)]
        return taken

    async def _read(self) -> None:
        try:
            self._buffer += await anext(self._stream)
        except StopAsyncIteration:
            raise MultipartInvalidError from None


def _part(head: bytes) -> Part:
    """`head`: CRLF before each line."""
    lines = [_LINE.fullmatch(line) for line in head.split(b"\r\n")[1:]]
    if not head.startswith(b"\r\n") or not all(lines):
        raise MultipartInvalidError
    values = [line[2] for line in lines if line and line[1].lower() == b"content-disposition"]
    _, options = parameters(values[0]) if len(values) == 1 else (b"", {})  # of two, another reader may take the other
    if b"name" not in options:
        raise MultipartInvalidError
    return Part(options[b"name"].decode("utf-8", "replace"), b"filename" in options)
