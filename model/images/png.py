"""The chunks of a PNG file that make its pixels; decodes nothing.

Source: Portable Network Graphics, third edition (W3C, 2025), sections 5, 7.2 and 11.
"""

import io
import struct
from collections.abc import Iterator
from functools import partial

from PIL.PngImagePlugin import PngImageFile

from model.images.essentials import MAX_EXIF_BYTES, Essentials
from model.images.refusals import AnimatedImage, CorruptImage, ImageLimits, TooExpensive

_MAX_CHUNKS = 10_000  # ten megabytes in pieces of a kilobyte; most writers use eight or more
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = {b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_TRANSPARENT = {4, 6}
_MAX_FRAMES = 0x80000000

_SECONDS_PER_BYTE = 4e-9  # of the pixels as they are stored, unpacked
_SECONDS_PER_PIXEL = 1e-8
_SECONDS_PER_TRANSPARENT_PIXEL = 2e-8


def essentials(data: bytes, limits: ImageLimits) -> Essentials:
    """The picture without its metadata, but for a short EXIF block.

    Raises TooManyPixels, ImageTooSmall, TooExpensive, CorruptImage, or AnimatedImage for APNG.
    """
    chunks = _chunks(data)
    kind, content, header = next(chunks, (b"", b"", b""))
    if kind != b"IHDR" or len(content) < 13:
        raise CorruptImage
    width, height, depth, colour = struct.unpack_from(">IIBB", content)
    limits.check((width, height))
    kept, with_exif, transparent = [_SIGNATURE, header], False, colour in _TRANSPARENT
    frames = controls = 0
    for kind, content, chunk in chunks:
        if kind in _KEPT or (kind == b"eXIf" and not with_exif and len(content) <= MAX_EXIF_BYTES):
            with_exif |= kind == b"eXIf"
            transparent |= kind == b"tRNS"
            kept.append(chunk)
        elif kind == b"acTL" and len(content) >= 8:
            frames = int.from_bytes(content[:4], "big")
        elif kind == b"fcTL":
            controls += 1
    if 1 < frames <= _MAX_FRAMES and controls:
        raise AnimatedImage
    seconds = height * width * depth * _CHANNELS.get(colour, 4) / 8 * _SECONDS_PER_BYTE
    seconds += height * width * (_SECONDS_PER_TRANSPARENT_PIXEL if transparent else _SECONDS_PER_PIXEL)
    return Essentials((width, height), seconds, partial(PngImageFile, io.BytesIO(b"".join(kept))))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Type, content, and the whole of each chunk up to the last. One that is cut off is given as far as it goes."""
    place = len(_SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        if place + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        yield kind, data[place + 8 : end - 4], data[place:end]
        if kind == b"IEND":
            return
        place = end
    raise TooExpensive
