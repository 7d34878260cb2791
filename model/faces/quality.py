"""How good a picture of a face is, and what to warn of; decides nothing."""

import numpy as np
from numpy.typing import NDArray

from model.faces.face import Crop, FaceWarning, Landmarks, Quality
from model.images import Rgb

SMALL_PX = 60
"""Fewer pixels across a face than this are enlarged more than twofold for the network."""
BLURRED = 0.25
"""Less is as a Gaussian blur of two pixels leaves it; of LFW's faces, 99 % have more than 0.35."""
DARK, BRIGHT = 0.2, 0.8
"""Beyond anything in LFW and CelebA, of whose faces 99 % lie between 0.24 and 0.73."""
TURNED = 0.5
"""Of `turn`; one face in eleven of LFW has more."""
CUT = 0.1
"""The share of a face's box that may lie beyond the picture before it counts as cut."""


def quality(crop: Crop, size_px: int, rgb: Rgb) -> Quality:
    """`rgb`: the face in colour, since the crop may be grey."""
    return Quality(size_px, round(sharpness(crop), 4), round(float(crop.mean()) / 255, 4), round(colour(rgb), 4))


def warnings(found: Quality, landmarks: Landmarks, outside: float, count: int) -> tuple[FaceWarning, ...]:
    """Reasons for care, in a fixed order. `outside`: the share of the face's box beyond the picture."""
    reasons = {
        FaceWarning.SEVERAL_FACES: count > 1,
        FaceWarning.SMALL_FACE: found.size_px < SMALL_PX,
        FaceWarning.BLURRED: found.sharpness < BLURRED,
        FaceWarning.DARK: found.brightness < DARK,
        FaceWarning.BRIGHT: found.brightness > BRIGHT,
        FaceWarning.HEAD_TURNED: turn(landmarks) > TURNED,
        FaceWarning.FACE_CUT: outside > CUT,
    }
    return tuple(reason for reason, applies in reasons.items() if applies)


def turn(landmarks: Landmarks) -> float:
    """How far the head is turned to a side: 0 frontal, 1 where the nose is as far to the side as an eye.

    Measured along the line through the eyes, so that a tilted head is not taken for a turned one.
    """
    left, right, nose = landmarks[:3].astype(np.float64)
    between = right - left
    along = (nose - left) @ between / max(float(between @ between), 1e-9)
    return float(abs(2 * along - 1))


def colour(rgb: Rgb) -> float:
    """0 (grey) to 1: how far apart the channels of a pixel are, on average."""
    red, green, blue = np.moveaxis(rgb, 2, 0)  # numpy is slow along an axis of three
    most, least = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return float((most - least).mean()) / 255


def sharpness(crop: Crop) -> float:
    """0 (nothing but blur) to 1 (every pixel differs from its neighbours), of an (channels, height, width) crop.

    One minus the blur measure of Crete et al., "The blur effect" (2007): how much of the variation between
    neighbours a strong blur would still take away.
    """
    grey = crop.mean(axis=0, dtype=np.float64)
    return float(min(_variation_lost_to_blur(grey), _variation_lost_to_blur(grey.T)))


def _variation_lost_to_blur(grey: NDArray[np.float64], reach: int = 4) -> float:
    left = np.arange(grey.shape[1] - 1)
    # Neighbouring means over a window differ in its first and its last pixel only; beyond the edge its pixels repeat.
    first, last = grey[:, np.maximum(left - reach, 0)], grey[:, np.minimum(left + reach + 1, len(left))]
    before, after = np.abs(np.diff(grey)), np.abs(last - first) / (2 * reach + 1)
    total = before.sum()
    return float(np.maximum(before - after, 0).sum() / total) if total > 0 else 0.0
