"""Bytes of an untrusted picture file to one upright RGB array; knows nothing of faces.

Each format has a file that finds what makes the pixels (`essentials`); `pictures` has Pillow decode only that.
"""

from model.images.pictures import Rgb, WorkingCopy, copy_of, decode, essentials, is_picture, working_copy
from model.images.refusals import (
    AnimatedImage,
    CorruptImage,
    ImageLimits,
    ImageTooSmall,
    InvalidImage,
    TooExpensive,
    TooManyPixels,
    UnsupportedFormat,
)

__all__ = [
    "AnimatedImage",
    "CorruptImage",
    "ImageLimits",
    "ImageTooSmall",
    "InvalidImage",
    "Rgb",
    "TooExpensive",
    "TooManyPixels",
    "UnsupportedFormat",
    "WorkingCopy",
    "copy_of",
    "decode",
    "essentials",
    "is_picture",
    "working_copy",
]
