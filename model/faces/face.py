"""What a face in a picture is, and the seam for those who find it; knows nothing of detectors or embeddings."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum, auto
from typing import Annotated, Literal, Protocol, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from model.images import Rgb, WorkingCopy, working_copy

Crop: TypeAlias = NDArray[np.uint8]
"""What the network takes: uint8, shape (channels, height, width) of the bundle's geometry, values 0..255."""

Length: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]

Landmarks: TypeAlias = NDArray[np.float32]
"""Shape (5, 2): x, y in pixels of left eye, right eye, nose, left and right corner of the mouth, as seen.

(0, 0) is the centre of the first pixel.
"""


class CropGeometry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The crop that a network was trained on, in pixels.

    The face is brought to (height * subsample, width * subsample); then every `subsample`-th pixel is kept.
    `landmarks`: where the crop has the five points of `Landmarks`; None where faces are not aligned.
    """

    height: Length
    width: Length
    channels: Literal[1, 3]
    subsample: Length = 1
    landmarks: tuple[tuple[float, float], ...] | None = None


_OpenShare: TypeAlias = Annotated[float, msgspec.Meta(gt=0, lt=1)]
_AtMost: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


class Search(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How YuNet searches, and when ONet's landmarks are taken. Scores and shares: 0..1."""

    side: Annotated[int, msgspec.Meta(ge=64, le=1024)] = 256
    """The longest side of the copy that is searched, in pixels; smaller pictures are searched as they are."""
    score: _OpenShare = 0.7
    """A face scores more than this."""
    overlap: _OpenShare = 0.3
    """Of two boxes that share more of their union, the one that scores less is dropped."""
    margin: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.5
    """Where no face is found: search again with this share of the longest side added all around. 0: do not."""
    turned: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    """Where a head is turned farther (`quality.turn`), YuNet's landmarks are kept; ONet's are better up to profiles."""
    believed: _OpenShare = 0.5
    """Where ONet gives less for a face, YuNet's landmarks are kept."""


class CascadeSearch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How hard to look: bounds the work, whatever the picture. Triples are for PNet, RNet and ONet."""

    side: Annotated[int, msgspec.Meta(ge=48, le=4096)] = 320
    """The longest side of the copy that is searched, in pixels; smaller pictures are searched as they are."""
    smallest: _OpenShare = 0.1
    """The smallest face, as a share of the longest side."""
    step: _OpenShare = 0.6
    """From one scale of the pyramid to the next; the paper's 0.709 takes a fifth longer and finds hardly more."""
    scores: tuple[_OpenShare, _OpenShare, _OpenShare] = (0.7, 0.7, 0.8)
    """A window passes with more than this."""
    windows: tuple[_AtMost, _AtMost, _AtMost] = (256, 128, 32)
    """At most so many windows, the best: of each scale, to RNet, to ONet."""
    margin: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.5
    """Where no face is found: search again with this share of the longest side added all around. 0: do not."""


@dataclass(frozen=True)
class Box:
    """Integer pixels of the upright picture, origin top left."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Quality:
    """size_px: shorter side of the face in the picture; the others 0..1, of the crop; colour: 0 is grey."""

    size_px: int
    sharpness: float
    brightness: float
    colour: float


class FaceWarning(StrEnum):
    """A reason to trust a face less."""

    SEVERAL_FACES = auto()
    SMALL_FACE = auto()
    BLURRED = auto()
    DARK = auto()
    BRIGHT = auto()
    HEAD_TURNED = auto()
    FACE_CUT = auto()
    NO_DETECTOR = auto()
    OUT_OF_DOMAIN = auto()


@dataclass(frozen=True)
class Face:
    """One face and how it was found. `score` and `landmarks` are None where the bundle has no detector.

    `landmarks`: x and y of the five points of `Landmarks`.
    """

    crop: Crop
    box: Box
    score: float | None
    count: int
    quality: Quality
    warnings: tuple[FaceWarning, ...]
    landmarks: tuple[tuple[float, float], ...] | None = None


class NoFaceFound(Exception):  # noqa: N818 - says what is wrong with the picture
    """There is no face in the picture, as far as the detector can tell."""


class FaceFinder(Protocol):
    """The seam for detectors: a picture in, the face that counts out, or all faces. Both raise NoFaceFound."""

    def find(self, picture: Rgb) -> Face: ...

    def find_all(self, picture: Rgb, most: int) -> Iterator[Face]:
        """The largest faces, at most so many, the largest first; their `count` is how many there are.

        Each is worked out when it is asked for, so that other pictures can be searched in between.
        """
        ...


def read_face(data: bytes, finder: FaceFinder) -> Face:
    """The face in a picture file's bytes: what training, serving and every measurement see of it.

    Boxes and sizes are in pixels of the upright picture. Raises a subclass of InvalidImage, or NoFaceFound.
    """
    return face_in(working_copy(data), finder)


def face_in(picture: WorkingCopy, finder: FaceFinder) -> Face:
    """The second half of `read_face`, for a service that decodes in another process. Raises NoFaceFound."""
    return _enlarged(finder.find(picture.pixels), picture.scale)


def faces_in(picture: WorkingCopy, finder: FaceFinder, most: int) -> Iterator[Face]:
    """As `face_in`, for the largest faces, at most so many; each is worked out when it is asked for."""
    return (_enlarged(face, picture.scale) for face in finder.find_all(picture.pixels, most))


def _enlarged(face: Face, scale: float) -> Face:
    """The face in pixels of a picture that is `scale` times as large as the one that it was found in."""
    if scale == 1:
        return face
    # The edges are rounded, not the lengths: a box that ends with the copy ends with the picture.
    box = face.box
    left, top, right, bottom = (round(scale * edge) for edge in (box.x, box.y, box.x + box.width, box.y + box.height))
    size_px = round(scale * face.quality.size_px)
    return replace(
        face,
        box=Box(left, top, right - left, bottom - top),
        quality=replace(face.quality, size_px=size_px),
        landmarks=face.landmarks
        and tuple(((x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5) for x, y in face.landmarks),
    )
