"""Campaign: searches for the pictures that are let in and take a decoder the most processor time.

A case is a new picture, or one of the most expensive so far with one property changed: hill climbing with restarts.
"""

import io
import math
import struct
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from campaigns.damaged_pictures import grammar
from campaigns.harness import Outcome, Run
from numpy.random import Generator
from PIL import Image

from app.inference.decoder_process import ChildLimits
from app.settings import Settings
from model.images import ImageLimits, InvalidImage, working_copy

COLUMNS = ("format", "aim", "score", "processor seconds", "bytes", "picture")
"""Of the name under which a record is counted, between semicolons."""
MAX_PIXELS = ImageLimits().max_pixels
_REQUEST_BYTES = 300  # beside the file: the head of a request, and a part's
_NEW = 0.3
_AIMS: Mapping[str, Callable[[float, int], float]] = {
    "seconds": lambda seconds, _: seconds,
    "seconds a megabyte sent": lambda seconds, size: 1e6 * seconds / (size + _REQUEST_BYTES),
}
_MODES = {"JPEG": ("L", "RGB", "CMYK"), "PNG": ("L", "RGB", "RGBA", "P", "1"), "WEBP": ("RGB", "RGBA"), "PPM": ("RGB",)}
_KINDS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "JPEG": ("JPEG", {}),
    "progressive JPEG": ("JPEG", {"progressive": True}),
    "JPEG of empty scans": ("JPEG", {"progressive": True}),
    "PNG": ("PNG", {"compress_level": 1}),
    "interlaced PNG": ("PNG", {}),
    "WebP": ("WEBP", {"method": 0}),
    "lossless WebP": ("WEBP", {"method": 0, "lossless": True}),
    "PGM, PPM": ("PPM", {}),
}


@dataclass(frozen=True)
class Candidate:
    """`coarse`: pixels along a block of one colour; `noise`: its standard deviation; `effort`: 0..1, the encoder's."""

    kind: str
    mode: int
    pixels: float
    ratio: float
    coarse: int
    noise: float
    effort: float
    orientation: int
    scans: int

    @classmethod
    def random(cls, rng: Generator) -> "Candidate":
        return cls(
            kind=str(rng.choice(list(_KINDS))),
            mode=int(rng.integers(60)),
            pixels=float(rng.choice([1, 1, 0.5, 0.1, 0.01])),
            ratio=float(rng.choice([1, 1, 1.5, 0.5, 10])),
            coarse=int(rng.choice([4, 40, 10_000])),
            noise=float(rng.choice([0, 0, 2, 10, 60])),
            effort=float(rng.random()),
            orientation=int(rng.integers(1, 9)),
            scans=int(rng.integers(1, 101)),
        )

    def changed(self, rng: Generator) -> "Candidate":
        """With one property of another, of the same format."""
        name = str(rng.choice([field.name for field in fields(self) if field.name != "kind"]))
        return replace(self, **{name: getattr(Candidate.random(rng), name)})

    @property
    def size(self) -> tuple[int, int]:
        width = max(32, int(math.sqrt(self.pixels * MAX_PIXELS * self.ratio)))
        return width, max(32, int(self.pixels * MAX_PIXELS / width))

    def encoded(self, rng: Generator) -> bytes:
        """Raises OSError or ValueError where the format has no such picture."""
        if self.kind == "JPEG of empty scans":
            return _empty_scans(*self.size, self.scans)
        if self.kind == "interlaced PNG":
            return interlaced(*self.size, round(9 * self.effort), depth=(8, 16)[self.mode % 2])
        width, height = self.size
        blocks = rng.integers(0, 256, (height // self.coarse + 1, width // self.coarse + 1, 3), dtype=np.uint8)
        pixels = np.asarray(Image.fromarray(blocks).resize((width, height)))
        if self.noise:
            noise = np.resize(rng.normal(0, self.noise, 100_003).astype(np.int16), pixels.shape)
            pixels = (pixels + noise).clip(0, 255).astype(np.uint8)
        return self._saved(Image.fromarray(pixels))

    def _saved(self, picture: Image.Image) -> bytes:
        kind, options = _KINDS[self.kind]
        mode = _MODES[kind][self.mode % len(_MODES[kind])]
        if kind != "PPM":
            options = options | {"exif": _turned(self.orientation), "quality": int(1 + 99 * self.effort)}
        if kind == "JPEG" and mode != "L":
            options = options | {"subsampling": self.scans % 3}
        file = io.BytesIO()
        picture.convert(mode).save(file, kind, **options)
        return file.getvalue()


def _turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _empty_scans(width: int, height: int, scans: int) -> bytes:
    """A progressive grey JPEG whose scans each say in a few bytes that all blocks are empty (T.81, G.1.2.2)."""
    blocks = -(-width // 8) * -(-height // 8)
    bits = ("0" + 14 * "1") * -(-blocks // 32767)  # the code for 2^14 blocks and as many more as 14 bits say
    bits += "1" * (-len(bits) % 8)
    run = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    quantization = b"\xff\xdb\0\x43\0" + bytes([1] * 64)
    frame = b"\xff\xc2\0\x0b\x08" + struct.pack(">HH", height, width) + b"\1\1\x11\0"
    code = b"\xff\xc4\0\x14\x10" + bytes([1] + [0] * 15) + b"\xe0"
    scan = b"\xff\xda\0\x08\1\1\0\1\x3f\0" + run
    return b"\xff\xd8" + quantization + frame + code + scan * scans + b"\xff\xd9"


def interlaced(width: int, height: int, level: int, depth: int) -> bytes:
    """An RGBA PNG in Adam7's seven passes, every sample of `depth` bits 0."""
    file = io.BytesIO()
    Image.new("RGBA", (1, 1)).save(file, "PNG")
    take_apart, join = grammar(file.getvalue())
    header, *_, end = take_apart(file.getvalue())
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = sum(-(-(height - y) // dy) * (1 + depth // 2 * -(-(width - x) // dx)) for x, y, dx, dy in passes)
    header = header[:4] + struct.pack(">IIB", width, height, depth) + header[13:16] + b"\1"
    return join([header, b"IDAT" + zlib.compress(bytes(rows), level), end])


@contextmanager
def most_expensive(seed: int, _: str) -> Iterator[Run]:
    """Each case is decoded; a record of its format is counted by name. A fault takes more than a decoder may."""
    best: dict[tuple[str, str], tuple[float, Candidate]] = {}

    def run(numbers: Sequence[int]) -> Outcome:
        outcome = Outcome()
        for number in numbers:
            rng = np.random.default_rng([seed, number])
            known = [candidate for _, candidate in best.values()]
            new = rng.random() < _NEW or not known
            candidate = Candidate.random(rng) if new else known[int(rng.integers(len(known)))].changed(rng)
            with suppress(OSError, ValueError):
                _try(number, candidate, candidate.encoded(rng), best, outcome)
        return outcome

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield run


def _try(
    number: int,
    candidate: Candidate,
    data: bytes,
    best: dict[tuple[str, str], tuple[float, Candidate]],
    outcome: Outcome,
) -> None:
    if len(data) > Settings().max_file_bytes:
        outcome.counts["file too large"] += 1
        return
    started = time.process_time()
    try:
        working_copy(data)
    except InvalidImage as refusal:
        outcome.counts[type(refusal).__name__] += 1
        return
    seconds = time.process_time() - started
    outcome.counts["decoded"] += 1
    if seconds > ChildLimits().cpu_seconds:
        outcome.faults.append(f"case {number}: {seconds:.2f} s, {len(data):,} bytes, {candidate}")
    for aim, score in _AIMS.items():
        scored = score(seconds, len(data))
        if scored > best.get((candidate.kind, aim), (0.0, candidate))[0]:
            best[candidate.kind, aim] = scored, candidate
            width, height = candidate.size
            cells = (candidate.kind, aim, f"{scored:.3g}", f"{seconds:.2f}", f"{len(data):,}", f"{width} x {height}")
            outcome.counts["; ".join(cells)] += 1


def records(counts: Mapping[str, int]) -> Iterator[list[str]]:
    """Cells of the best record of each format and aim, as `COLUMNS` names them: the worst that was found."""
    found = [cells for name in counts if len(cells := name.split("; ")) == len(COLUMNS)]
    for kind in _KINDS:
        for aim in _AIMS:
            same = [cells for cells in found if cells[:2] == [kind, aim]]
            if same:
                yield max(same, key=lambda cells: float(cells[2]))
