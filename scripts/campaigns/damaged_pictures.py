"""Damages picture files, anywhere or along the grammar of their format; knows nothing of who reads them.

Case `number` of `seed` is the same bytes wherever and in whatever order it is made.
"""

import io
from functools import lru_cache

import numpy as np
from campaigns.damaged_formats import grammar
from numpy.random import Generator
from PIL import Image

_TELLING = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)
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
    """Some bits, here and there."""
    changed = np.frombuffer(data, np.uint8).copy()
    places = rng.integers(0, max(1, len(changed)), int(rng.integers(1, 65)))
    if len(changed):
        changed[places] ^= (1 << rng.integers(0, 8, len(places))).astype(np.uint8)
    return changed.tobytes()


def overwrite(data: bytes, rng: Generator) -> bytes:
    """A few bytes in a row with one of those that sizes go wrong with."""
    start, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 9))
    return data[:start] + bytes([int(rng.choice(_TELLING))]) * length + data[start + length :]


def edit_header(data: bytes, rng: Generator) -> bytes:
    """Bytes near the start, where formats keep sizes."""
    return overwrite(data[:64], rng)[:64] + data[64:]


def truncate(data: bytes, rng: Generator) -> bytes:
    return data[: int(rng.integers(len(data) + 1))]


def splice(data: bytes, rng: Generator) -> bytes:
    """The start of this file with the end of another, of whatever format."""
    other = base(0, int(rng.integers(_BASES)))
    return truncate(data, rng) + other[int(rng.integers(len(other))) :]


def repeat(data: bytes, rng: Generator) -> bytes:
    """A stretch of the file, many times."""
    start, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 200))
    return data[:start] + data[start : start + length] * int(rng.integers(2, 60)) + data[start + length :]


def rearrange(data: bytes, rng: Generator) -> bytes:
    """A segment of the format dropped, doubled, swapped with another, or changed inside with its sums made right."""
    split, join = grammar(data)
    parts = split(data)
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
