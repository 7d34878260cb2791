"""An RGB picture to the face in it, cropped to what the network takes; knows nothing of embeddings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from model.images import Rgb

Crop: TypeAlias = NDArray[np.uint8]
"""What the network takes: uint8, shape (channels, height, width) of the bundle's geometry, values 0..255."""

Length: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class CropGeometry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The crop that a network was trained on, in pixels.

    The face is brought to (height * subsample, width * subsample); then every `subsample`-th pixel is kept.
    """

    height: Length
    width: Length
    channels: Literal[1, 3]
    subsample: Length = 1


@dataclass(frozen=True)
class Box:
    """Integer pixels of the upright picture, origin top left."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Quality:
    """size_px: shorter side of the face in the picture; sharpness and brightness: 0..1, of the crop."""

    size_px: int
    sharpness: float
    brightness: float


@dataclass(frozen=True)
class Face:
    """One face and how it was found. `score` is None where the bundle has no detector."""

    crop: Crop
    box: Box
    score: float | None
    count: int
    quality: Quality
    warnings: tuple[str, ...]


class FaceFinder(Protocol):
    """The seam for detectors: a picture in, the face that counts out."""

    def find(self, picture: Rgb) -> Face: ...


class WholePicture:
    """No detector: the whole picture is taken as the face, centred and cut to the crop's proportions."""

    def __init__(self, geometry: CropGeometry) -> None:
        self._geometry = geometry

    def find(self, picture: Rgb) -> Face:
        crop = self._crop(picture)
        height, width = picture.shape[:2]
        quality = Quality(min(height, width), round(sharpness(crop), 4), round(float(crop.mean()) / 255, 4))
        return Face(crop, Box(0, 0, width, height), None, 1, quality, ("no_detector",))

    def _crop(self, picture: Rgb) -> Crop:
        shape = self._geometry
        image = Image.fromarray(picture).convert("L" if shape.channels == 1 else "RGB")
        size = (shape.width * shape.subsample, shape.height * shape.subsample)
        fitted = np.asarray(ImageOps.fit(image, size, Image.Resampling.BICUBIC), dtype=np.uint8)
        kept = fitted[:: shape.subsample, :: shape.subsample]
        return np.ascontiguousarray(kept.reshape(shape.height, shape.width, shape.channels).transpose(2, 0, 1))


DETECTORS: Mapping[str, Callable[[CropGeometry], FaceFinder]] = {"whole_picture": WholePicture}
"""The manifest's `detector` names one of these."""


def sharpness(crop: Crop) -> float:
    """0 (nothing but blur) to 1 (every pixel differs from its neighbours), of an (channels, height, width) crop.

    One minus the blur measure of Crete et al., "The blur effect" (2007): how much of the variation between
    neighbours a strong blur would still take away.
    """
    grey = crop.mean(axis=0, dtype=np.float64)
    return float(min(_variation_lost_to_blur(grey), _variation_lost_to_blur(grey.T)))


def _variation_lost_to_blur(grey: NDArray[np.float64], reach: int = 4) -> float:
    padded = np.pad(grey, ((0, 0), (reach, reach)), mode="edge")
    window = 2 * reach + 1
    blurred = sum(padded[:, i : i + grey.shape[1]] for i in range(window)) / window
    before, after = np.abs(np.diff(grey)), np.abs(np.diff(blurred))
    total = before.sum()
    return float(np.maximum(before - after, 0).sum() / total) if total > 0 else 0.0
