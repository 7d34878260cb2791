"""The chunks of a WebP file that make its pixels; decodes nothing.

Source: RFC 9649, section 2.
"""

import io
import struct
from collections.abc import Iterator
from functools import partial

from PIL.WebPImagePlugin import WebPImageFile

from model.images.essentials import MAX_EXIF_BYTES, Essentials
from model.images.refusals import AnimatedImage, CorruptImage, ImageLimits, TooExpensive

_MAX_CHUNKS = 1_000
_KEPT = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"}
_HAS_PROFILE, _HAS_XMP = 0x20, 0x04

_SECONDS_PER_PIXEL = {b"VP8 ": 3e-8, b"VP8L": 4e-8, b"VP8X": 4e-8}
_SECONDS_PER_BYTE = {b"VP8 ": 2.5e-8, b"VP8L": 0, b"VP8X": 2.5e-8}


def essentials(data: bytes, limits: ImageLimits) -> Essentials:
    """The picture without its metadata, but for a short EXIF block.

    Raises TooManyPixels, ImageTooSmall, TooExpensive, CorruptImage or AnimatedImage.
    """
    kept: list[bytes] = []
    sizes: list[tuple[int, int]] = []
    frames = 0
    if 8 + _number(data[4:8]) > len(data):
        raise CorruptImage
    for kind, content, chunk in _chunks(data):
        if size := _size(kind, content):
            limits.check(size)
            sizes.append(size)
        frames += kind == b"ANMF"
        if kind in _KEPT or (kind == b"EXIF" and len(content) <= MAX_EXIF_BYTES):
            kept.append(_without_claims(chunk) if kind == b"VP8X" else chunk)
    if frames > 1:
        raise AnimatedImage
    if not sizes or kept[0][:4] not in _SECONDS_PER_PIXEL:
        raise CorruptImage
    width, height = sizes[0]
    body = b"WEBP" + b"".join(kept)
    file = b"RIFF" + struct.pack("<I", len(body)) + body
    kind = kept[0][:4]
    seconds = width * height * _SECONDS_PER_PIXEL[kind] + len(file) * _SECONDS_PER_BYTE[kind]
    return Essentials((width, height), seconds, partial(WebPImageFile, io.BytesIO(file)))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Type, content, and the whole of each chunk. One that is longer than the file is given as far as it goes."""
    place, end = 12, 8 + _number(data[4:8])
    for _ in range(_MAX_CHUNKS):
        if place + 8 > end:
            return
        kind, length = struct.unpack_from("<4sI", data, place)
        behind = place + 8 + length + length % 2
        yield kind, data[place + 8 : min(end, place + 8 + length)], data[place : min(end, behind)]
        place = behind
    raise TooExpensive


def _size(kind: bytes, content: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels, of a canvas or a frame."""
    if kind == b"VP8X" and len(content) >= 10:
        return 1 + _number(content[4:7]), 1 + _number(content[7:10])
    if kind == b"VP8L" and len(content) >= 5:
        bits = _number(content[1:5])
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(content) >= 10:
        return _number(content[6:8]) & 0x3FFF, _number(content[8:10]) & 0x3FFF
    return None


def _without_claims(canvas: bytes) -> bytes:
    """The VP8X chunk, saying no more that a colour profile and XMP are there."""
    return canvas[:8] + bytes([canvas[8] & ~(_HAS_PROFILE | _HAS_XMP)]) + canvas[9:] if len(canvas) > 8 else canvas


def _number(digits: bytes) -> int:
    return int.from_bytes(digits, "little")
