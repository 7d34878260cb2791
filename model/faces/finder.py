"""A picture to the face in it that counts, cropped for the network: with a detector or without one."""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from model.faces.alignment import aligned
from model.faces.copies import Detections
from model.faces.face import Box, Crop, CropGeometry, Face, FaceWarning, Landmarks, NoFaceFound
from model.faces.quality import quality, warnings
from model.images import Rgb


class WholePicture:
    """No detector: the whole picture is taken as the face, centred and cut to the crop's proportions."""

    def __init__(self, geometry: CropGeometry) -> None:
        self._geometry = geometry

    def find(self, picture: Rgb) -> Face:
        crop = self._crop(picture)
        height, width = picture.shape[:2]
        judged = quality(crop, min(height, width), picture)
        return Face(crop, Box(0, 0, width, height), None, 1, judged, (FaceWarning.NO_DETECTOR,))

    def find_all(self, picture: Rgb, most: int) -> Iterator[Face]:  # noqa: ARG002
        yield self.find(picture)

    def _crop(self, picture: Rgb) -> Crop:
        shape = self._geometry
        image = Image.fromarray(picture).convert("L" if shape.channels == 1 else "RGB")
        size = (shape.width * shape.subsample, shape.height * shape.subsample)
        fitted = np.asarray(ImageOps.fit(image, size, Image.Resampling.BICUBIC), dtype=np.uint8)
        kept = fitted[:: shape.subsample, :: shape.subsample]
        return np.ascontiguousarray(kept.reshape(shape.height, shape.width, shape.channels).transpose(2, 0, 1))


class Detector(Protocol):
    """The seam for other networks: a picture in, every face in it out."""

    def find(self, picture: Rgb) -> Detections: ...


Refine: TypeAlias = Callable[[Rgb, NDArray[np.float32], Landmarks], Landmarks]
"""A picture, a face's box (x1, y1, x2, y2) and its landmarks to better ones."""


def as_detected(_: Rgb, __: NDArray[np.float32], landmarks: Landmarks) -> Landmarks:
    return landmarks


class AlignedFaceFinder:
    """The face that the picture is of, aligned by its landmarks. Safe to use from many threads."""

    def __init__(self, detector: Detector, refine: Refine, geometry: CropGeometry) -> None:
        self._detector = detector
        self._refine = refine
        self._geometry = geometry

    def find(self, picture: Rgb) -> Face:
        """Raises NoFaceFound."""
        faces, inside = self._detect(picture)
        main = _main(inside, *picture.shape[1::-1])
        return self._face(picture, faces, inside, main, to_warn_of=len(faces.scores))

    def find_all(self, picture: Rgb, most: int) -> Iterator[Face]:
        """The largest faces, at most so many, the largest first. Raises NoFaceFound when the first is asked for."""
        faces, inside = self._detect(picture)
        areas = _areas(inside)
        largest = [int(index) for index in np.argsort(-areas, kind="stable")[:most] if areas[index] > 0]
        for index in largest:
            yield self._face(picture, faces, inside, index, to_warn_of=1)

    def _detect(self, picture: Rgb) -> tuple[Detections, NDArray[np.float32]]:
        """All faces, and their boxes as far as they lie inside the picture."""
        faces = self._detector.find(picture)
        height, width = picture.shape[:2]
        inside = np.clip(faces.boxes, 0, [width, height, width, height])
        if not _areas(inside).any():
            raise NoFaceFound
        return faces, inside

    def _face(self, picture: Rgb, faces: Detections, inside: NDArray[np.float32], index: int, to_warn_of: int) -> Face:
        landmarks = self._refine(picture, faces.boxes[index], faces.landmarks[index])
        upright = aligned(picture, landmarks, self._geometry)
        crop = np.ascontiguousarray(upright.transpose(2, 0, 1))
        judged = quality(crop, round(float(_sides(faces.boxes)[index].min())), upright)
        outside = 1 - float(_areas(inside)[index] / _areas(faces.boxes)[index])
        reasons = warnings(judged, landmarks, outside, to_warn_of)
        box, score, count = _box(inside[index]), round(float(faces.scores[index]), 4), len(faces.scores)
        return Face(crop, box, score, count, judged, reasons, tuple((x, y) for x, y in landmarks.tolist()))


def _main(boxes: NDArray[np.float32], width: int, height: int) -> int:
    """The largest face, where one far from the middle counts for less: passers-by are cut by the border.

    On LFW, where the person in question is in the middle, the largest face alone is somebody else in 42 pictures of
    4,991, and in 1 by this rule.
    """
    middle = np.array([width, height]) / 2
    away = np.linalg.norm((boxes[:, :2] + boxes[:, 2:]) / 2 - middle, axis=1) / np.linalg.norm(middle)
    return int(np.argmax(_areas(boxes) * (1 - away)))


def _sides(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return boxes[:, 2:] - boxes[:, :2]


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    areas: NDArray[np.float32] = _sides(boxes).prod(axis=1)
    return areas


def _box(corners: NDArray[np.float32]) -> Box:
    left, top, right, bottom = (round(float(value)) for value in corners)
    return Box(left, top, right - left, bottom - top)
