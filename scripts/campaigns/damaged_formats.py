"""Picture files to their segments and back, with lengths and check sums made right again; knows no damage."""

import struct
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

Split: TypeAlias = Callable[[bytes], list[bytes]]
Join: TypeAlias = Callable[[list[bytes]], bytes]

_PNG_HEAD = b"\x89PNG\r\n\x1a\n"


def grammar(data: bytes) -> tuple[Split, Join]:
    """How to take a file apart and to put it together, judged by its first bytes."""
    if data.startswith(_PNG_HEAD):
        return _png_chunks, _png
    if data.startswith(b"RIFF"):
        return _webp_chunks, _webp
    if data.startswith(b"\xff\xd8"):
        return _jpeg_segments, b"".join
    return _header_words, b"".join


def _png_chunks(data: bytes) -> list[bytes]:
    """Type and content of each chunk."""
    chunks, place = [], len(_PNG_HEAD)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        chunks.append(data[place + 4 : place + 8 + length])
        place += 12 + length
    return chunks


def _png(chunks: list[bytes]) -> bytes:
    sizes = (struct.pack(">I", max(0, len(chunk) - 4)) for chunk in chunks)
    sums = (struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks)
    return _PNG_HEAD + b"".join(size + chunk + crc for size, chunk, crc in zip(sizes, chunks, sums, strict=True))


def _webp_chunks(data: bytes) -> list[bytes]:
    """Type and content of each chunk."""
    chunks, place = [], 12
    while place + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, place + 4)
        chunks.append(data[place : place + 4] + data[place + 8 : place + 8 + length])
        place += 8 + length + length % 2
    return chunks


def _webp(chunks: list[bytes]) -> bytes:
    body = b"".join(
        chunk[:4] + struct.pack("<I", max(0, len(chunk) - 4)) + chunk[4:] + bytes(len(chunk) % 2) for chunk in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _jpeg_segments(data: bytes) -> list[bytes]:
    """From one marker to the next; coded data stays with the marker before it."""
    starts = [i for i in range(len(data) - 1) if data[i] == 0xFF and data[i + 1] not in (0x00, 0xFF)]
    return [data[start:end] for start, end in pairwise([*starts, len(data)])]


def _header_words(data: bytes) -> list[bytes]:
    """Magic, sizes and depth of a PGM or PPM file, each with its white space, then the pixels."""
    words = data.split(b"\n", 3)
    return [word + b"\n" for word in words[:-1]] + words[-1:]
