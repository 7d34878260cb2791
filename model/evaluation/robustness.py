"""Measures how often one person is still recognised when one picture gets worse, kind by kind. It writes nothing."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageFilter
from scipy import stats

from model.data.people import DataError, read_file
from model.embedding.embedder import Embedder, distances
from model.faces.face import Crop, NoFaceFound, read_face
from model.images import InvalidImage, decode

Damage: TypeAlias = Callable[[Image.Image, float], bytes]
"""A picture to a file that shows it worse; but for JPEG, a file that loses nothing more."""


@dataclass(frozen=True)
class Kind:
    """A kind of damage, with severities from none to much, in `unit`."""

    unit: str
    severities: tuple[float, ...]
    damage: Damage


@dataclass(frozen=True)
class Point:
    """Results of one severity: of `pairs` of one person each, how many were rejected or lacked a face."""

    kind: str
    severity: float
    pairs: int
    without_face: int
    rejected: int

    @property
    def generalised_fnmr(self) -> float:
        return (self.rejected + self.without_face) / self.pairs

    @property
    def ci95(self) -> tuple[float, float]:
        """Exact binomial: one pair a person, so that pairs are independent."""
        errors = self.rejected + self.without_face
        interval = stats.binomtest(errors, self.pairs).proportion_ci(method="exact")
        return float(interval.low), float(interval.high)


def measure(
    embedder: Embedder,
    pairs: Sequence[tuple[Path, Path]],
    threshold: float,
    progress: Callable[[Sequence[tuple[str, float]]], Iterable[tuple[str, float]]] = iter,
) -> tuple[Point, ...]:
    """The second picture of each pair is damaged, the first is not; both are read as serving reads them.

    Pairs of which one cannot be read, or the first has no face, are left out. Raises DataError where none is left.
    """
    known = [both for first, second in pairs if (both := _opened(embedder, first, second)) is not None]
    if not known:
        raise DataError(f"nobody has two pictures that can be read, with a face in the first: {len(pairs)} pairs tried")
    embeddings = embedder.embed([crop for crop, _ in known])
    points = []
    for kind, severity in progress([(name, severity) for name in KINDS for severity in KINDS[name].severities]):
        crops = [_crop(embedder, KINDS[kind].damage(other, severity)) for _, other in known]
        there = [number for number, crop in enumerate(crops) if crop is not None]
        rejected = 0
        if there:
            damaged = embedder.embed([crop for crop in crops if crop is not None])
            rejected = int((distances(embeddings[there], damaged) > threshold).sum())
        points.append(Point(kind, severity, len(known), len(known) - len(there), rejected))
    return tuple(points)


def _opened(embedder: Embedder, first: Path, second: Path) -> tuple[Crop, Image.Image] | None:
    try:
        picture = Image.fromarray(decode(read_file(second)))
        crop = _crop(embedder, read_file(first))
    except (InvalidImage, OSError):
        return None
    return None if crop is None else (crop, picture)


def _crop(embedder: Embedder, data: bytes) -> Crop | None:
    try:
        return read_face(data, embedder.faces).crop
    except NoFaceFound:
        return None


def _file(image: Image.Image, kind: str = "PPM", **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _jpeg(image: Image.Image, quality: float) -> bytes:
    return _file(image, "JPEG", quality=int(quality))


def _blurred(image: Image.Image, radius: float) -> bytes:
    return _file(image.filter(ImageFilter.GaussianBlur(radius)))


def _lit(image: Image.Image, factor: float) -> bytes:
    return _file(image.point(lambda value: value * factor))


def _turned(image: Image.Image, degrees: float) -> bytes:
    return _file(image.rotate(degrees, Image.Resampling.BICUBIC))


def _noise(image: Image.Image, deviation: float) -> bytes:
    pixels = np.asarray(image, np.float64)
    noisy = pixels + np.random.default_rng(0).normal(0, deviation, pixels.shape)
    return _file(Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)))


def _smaller(image: Image.Image, share: float) -> bytes:
    small = image.resize([max(1, round(side * share)) for side in image.size], Image.Resampling.LANCZOS)
    return _file(small.resize(image.size, Image.Resampling.BICUBIC))


def _covered(image: Image.Image, share: float) -> bytes:
    """The lower part of the picture's middle half goes grey, as a scarf or a mask hides it."""
    width, height = image.size
    covered = image.copy()
    top = round(height * (0.8 - share))
    covered.paste((128, 128, 128), (width // 5, top, width * 4 // 5, round(height * 0.8)))
    return _file(covered)


KINDS: Mapping[str, Kind] = {
    "JPEG": Kind("quality", (90, 50, 25, 10, 5), _jpeg),
    "blur": Kind("pixels (Gaussian)", (0, 1, 2, 3, 4), _blurred),
    "noise": Kind("grey levels (deviation)", (0, 10, 20, 40, 60), _noise),
    "brightness": Kind("factor", (1.6, 1.3, 1, 0.5, 0.25, 0.1), _lit),
    "resolution": Kind("share of the pixels' rows", (1, 0.5, 0.35, 0.25, 0.15), _smaller),
    "rotation": Kind("degrees", (0, 10, 20, 30, 45), _turned),
    "occlusion": Kind("share of the height, from below", (0, 0.1, 0.2, 0.3, 0.4), _covered),
}
