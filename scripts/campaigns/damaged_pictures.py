"""Damages picture files, anywhere or segment by segment of their format. It knows nothing of who reads them.

Case `number` of `seed` gives the same bytes wherever and in whatever order it is made.
"""

import io
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from PIL import Image

TakeApart: TypeAlias = Callable[[bytes], list[bytes]]
Join: TypeAlias = Callable[[list[bytes]], bytes]

_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_EDGE_BYTES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)
_BASES = 64
_LARGE = 60  # a JPEG that is reduced while it is decoded


def damaged(seed: int, number: int) -> bytes:
    """One generated JPEG, PNG, WebP, PGM or PPM file, damaged one to three times."""
    rng = np.random.default_rng([seed, number])
    data = base(seed, int(rng.integers(_BASES)))
    for _ in range(int(rng.integers(1, 4))):
        data = DAMAGES[int(rng.integers(len(DAMAGES)))](data, rng)
    return data


@lru_cache(maxsize=_BASES)
def base(seed: int, number: int) -> bytes:
    """A sound file of one of the formats, sizes, modes and options in turn."""
    rng = np.random.default_rng([seed, number, 1])
    sides = rng.integers(2000, 2400, 2) if number == _LARGE else rng.integers(32, 160, 2)
    height, width = (int(side) for side in sides)
    coarse = rng.integers(0, 256, (6, 5, 4), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((width, height))
    kind, mode, options = _KINDS[number % len(_KINDS)]
    saved = io.BytesIO()
    if mode == "I;16":
        wide = np.asarray(picture.convert("L")).astype(np.uint16) * 257
        Image.fromarray(wide).save(saved, kind)
    else:
        exif = Image.Exif()
        exif[0x0112] = int(rng.integers(0, 10))
        picture.convert(mode).save(saved, kind, **options, **({} if kind == "PPM" else {"exif": exif}))
    return saved.getvalue()


_KINDS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("JPEG", "RGB", {"quality": 90}), ("JPEG", "RGB", {"progressive": True}), ("JPEG", "L", {}),
    ("JPEG", "CMYK", {"quality": 60}), ("PNG", "RGB", {}), ("PNG", "RGBA", {}), ("PNG", "L", {}),
    ("PNG", "P", {"transparency": 0}), ("PNG", "1", {}), ("PNG", "I;16", {}), ("WEBP", "RGB", {}),
    ("WEBP", "RGBA", {"lossless": True}), ("PPM", "RGB", {}), ("PPM", "L", {}), ("PPM", "I;16", {}),
)  # fmt: skip


def flip(data: bytes, rng: Generator) -> bytes:
    """Flips some bits, here and there."""
    changed = np.frombuffer(data, np.uint8).copy()
    places = rng.integers(0, max(1, len(changed)), int(rng.integers(1, 65)))
    if len(changed):
        changed[places] ^= (1 << rng.integers(0, 8, len(places))).astype(np.uint8)
    return changed.tobytes()


def overwrite(data: bytes, rng: Generator) -> bytes:
    """Overwrites a few bytes in a row with a value at which sizes go wrong."""
    start, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 9))
    return data[:start] + bytes([int(rng.choice(_EDGE_BYTES))]) * length + data[start + length :]


def edit_header(data: bytes, rng: Generator) -> bytes:
    """Overwrites bytes near the start, where formats keep sizes."""
    return overwrite(data[:64], rng)[:64] + data[64:]


def truncate(data: bytes, rng: Generator) -> bytes:
    return data[: int(rng.integers(len(data) + 1))]


def splice(data: bytes, rng: Generator) -> bytes:
    """Joins the start of this file to the end of another, of whatever format."""
    other = base(0, int(rng.integers(_BASES)))
    return truncate(data, rng) + other[int(rng.integers(len(other))) :]


def repeat(data: bytes, rng: Generator) -> bytes:
    """Repeats a stretch of the file many times."""
    start, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 200))
    return data[:start] + data[start : start + length] * int(rng.integers(2, 60)) + data[start + length :]


def rearrange(data: bytes, rng: Generator) -> bytes:
    """Drops, doubles, swaps or changes a segment of the format, and makes its check sums right."""
    take_apart, join = grammar(data)
    parts = take_apart(data)
    if len(parts) < 2:
        return flip(data, rng)
    one, other = (int(index) for index in rng.integers(len(parts), size=2))
    match int(rng.integers(4)):
        case 0:
            del parts[one]
        case 1:
            parts.insert(other, parts[one])
        case 2:
            parts[one], parts[other] = parts[other], parts[one]
        case _:
            parts[one] = overwrite(parts[one], rng)
    return join(parts)


DAMAGES = (flip, overwrite, edit_header, truncate, splice, repeat, rearrange)


def grammar(data: bytes) -> tuple[TakeApart, Join]:
    """How to take a file apart into segments and to join them, lengths and check sums made right again."""
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
