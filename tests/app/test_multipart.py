"""Multipart bodies: however they arrive the same parts, what is none is refused, and no filling is dear to read."""

import asyncio
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from app.multipart import Multipart, MultipartInvalidError, NotMultipartError, Part, TooLongError, parameters
from app.uploads import Form, InvalidParameterError, read_form

TYPE = "multipart/form-data; boundary=b"
FILE = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
FIELD = b'--b\r\nContent-Disposition: form-data; name="fmr"\r\n\r\n'
END = b"\r\n--b--\r\n"
MOST = 2**20


def pieces(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


async def stream(parts: Sequence[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(parts: Sequence[bytes], content_type: str = TYPE) -> list[tuple[Part, bytes]]:
    body, found = Multipart(content_type, stream(parts)), []
    while part := await body.next_part():
        found.append((part, await body.content(MOST)))
    return found


def form(body: bytes, content_type: str = TYPE) -> Form:
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": True} for piece in pieces(body, 2**16)
    ]
    left = iter([*messages, {"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        return next(left)

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", content_type.encode())]}
    return asyncio.run(read_form(Request(scope, receive), ["image"], ["fmr"], 10 * MOST))


def lines_run(work: Callable[[], object]) -> int:
    """How many lines of ours and of the parser it takes: what it costs, whatever else the process and machine do."""
    lines, before = 0, sys.gettrace()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace if {"app", "python_multipart"} & {*Path(frame.f_code.co_filename).parts} else None

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize(
    "filling", [b"\r\n--", b"\r", b"\n", b"-", b"\r\n", b"\r\n-b", b"\r\n--B", b"--b", b"\r\r\n--"]
)
def test_what_looks_like_a_delimiter_costs_no_more_to_read_than_anything_else(filling: bytes) -> None:
    content = (filling * (MOST // len(filling) + 1))[:MOST]
    assert form(FILE + content + END).files == {"image": content}
    near = lines_run(lambda: form(FILE + content + END))
    assert near <= 1.1 * lines_run(lambda: form(FILE + bytes(MOST) + END))


def test_nearly_all_of_a_long_boundary_costs_no_more_either() -> None:
    boundary = b"b" * 70
    kind, head = f"multipart/form-data; boundary={boundary.decode()}", FILE.replace(b"--b", b"--" + boundary)
    end = END.replace(b"--b", b"--" + boundary)
    content = b"\r\n--" + boundary[:-1] + b"x"
    content *= MOST // len(content)
    near = lines_run(lambda: form(head + content + end, kind))
    assert near <= 1.1 * lines_run(lambda: form(head + bytes(len(content)) + end, kind))


def test_a_delimiter_that_is_none_ends_the_reading_at_once() -> None:
    def refused() -> None:
        with pytest.raises(MultipartInvalidError):
            form(FILE + b"\r\n--bX" * (MOST // 6) + END)

    assert lines_run(refused) < 2_000  # and not some for each byte that came along with it


def test_a_header_too_long_to_be_real_is_not_taken_apart() -> None:
    dear = 'multipart/form-data; boundary="' + ";" * 16_000  # parsing it takes time that grows with its square
    assert parameters(dear) == (b"", {})
    assert lines_run(lambda: parameters(dear)) < 10
    with pytest.raises(NotMultipartError):
        Multipart(dear, stream([]))
    with pytest.raises(MultipartInvalidError):
        asyncio.run(read([b'--b\r\nContent-Disposition: form-data; name="image"' + b";" * 4000 + b"\r\n\r\n" + END]))


@given(
    contents=st.lists(st.lists(st.sampled_from([b"\r", b"\n", b"--", b"-", b"b", b"\0"])).map(b"".join), max_size=4),
    size=st.integers(1, 90),
    before=st.sampled_from([b"", b"\r\n"]),
    after=st.binary(max_size=9),
)
def test_the_parts_are_the_same_however_they_arrive(
    contents: list[bytes], size: int, before: bytes, after: bytes
) -> None:
    contents = [content for content in contents if b"\r\n--b" not in b"\r\n" + content + b"\r\n-"]
    written = b"".join(FILE + content + b"\r\n" for content in contents)
    found = asyncio.run(read(pieces(before + written + b"--b--" + after, size)))
    assert found == [(Part("image", True), content) for content in contents]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"--b", b"--b-", b"--b\r\n", b"--c\r\n\r\nx" + END, b"x" + FILE + END, FILE, FILE + b"x",
        FILE + b"\r\n--b", FILE + b"x\r\n--bX" + END, FILE + b"x\r\n--b \r\n" + END, b"--b\r\n\r\nx" + END,
        b"--b\r\nNo colon\r\n\r\nx" + END,
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx" + END, b"--b\r\nA b: c\r\n\r\nx" + END,
        FILE[:-2] + FIELD[5:] + b"x" + END,
        FILE[:-2] + b" folded: line\r\n\r\nx" + END, b"--b\r\n: x\r\n\r\nx" + END, b"--b\r\n--b\r\n--b\r\n" + END,
        b"--b\r\nA: " + b"a" * 9000 + b"\r\n\r\nx" + END, b"--b\nContent-Disposition: x\n\nx" + END,
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 7, 2**16])
def test_what_is_no_multipart_body_is_refused(body: bytes, size: int) -> None:
    with pytest.raises(MultipartInvalidError):
        asyncio.run(read(pieces(body, size)))


@pytest.mark.parametrize("boundary", ["", '""', "b" * 71])
def test_a_boundary_has_1_to_70_characters(boundary: str) -> None:
    with pytest.raises(MultipartInvalidError):
        asyncio.run(read([FILE + END], f"multipart/form-data; boundary={boundary}"))


def test_a_part_that_is_too_long_is_read_no_further_than_to_where_it_shows() -> None:
    async def take() -> int:
        left = stream([FILE, *[b"x" * 100] * 100, END])
        body = Multipart(TYPE, left)
        assert await body.next_part()
        with pytest.raises(TooLongError):
            await body.content(1000)
        return len([piece async for piece in left])

    assert asyncio.run(take()) == 100 - 11 + 1


@pytest.mark.parametrize(("longest", "length", "fits"), [(5, 5, True), (5, 6, False), (0, 0, True), (0, 1, False)])
def test_a_part_may_be_exactly_as_long_as_it_may_be(longest: int, length: int, fits: bool) -> None:
    async def take() -> bytes:
        body = Multipart(TYPE, stream([FILE + b"x" * length + END]))
        assert await body.next_part()
        return await body.content(longest)

    if fits:
        assert asyncio.run(take()) == b"x" * length
    else:
        with pytest.raises(TooLongError):
            asyncio.run(take())


def test_a_part_that_was_taken_is_held_once() -> None:
    async def take(written: list[bytes]) -> int:
        body = Multipart(TYPE, stream(written))
        assert await body.next_part()
        content = await body.content(4 * MOST)
        assert len(content) == 4 * MOST
        assert await body.next_part()
        return tracemalloc.get_traced_memory()[0]

    written = pieces(FILE + bytes(4 * MOST) + b"\r\n" + FILE, 2**16)
    tracemalloc.start()
    held = asyncio.run(take(written))
    tracemalloc.stop()
    assert held < 5 * MOST


def test_names_are_read_as_clients_write_them() -> None:
    heads = [
        b'content-disposition: form-data; name="image"; filename="a;b \xd1\x8f\\".jpg"\r\nContent-Type: image/jpeg',
        b"X-Other: y\r\nCONTENT-DISPOSITION:form-data;name=fmr",
    ]
    written = b"".join(b"--b\r\n" + head + b"\r\n\r\nx\r\n" for head in heads) + b"--b--"
    assert [part for part, _ in asyncio.run(read([written]))] == [Part("image", True), Part("fmr", False)]


def test_a_field_given_twice_or_too_long_is_invalid() -> None:
    for body in (FIELD + b"1\r\n" + FIELD + b"1" + END, FIELD + b"1" * 1025 + END):
        with pytest.raises(InvalidParameterError):
            form(body)
    assert form(FILE + b"x\r\n" + FIELD + b"1" * 1024 + END) == Form({"image": b"x"}, {"fmr": "1" * 1024})
