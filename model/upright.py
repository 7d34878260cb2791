"""A picture that Pillow has opened to upright RGB; knows neither limits nor files."""

import struct
import zlib

import numpy as np
from PIL import Image

DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    EOFError,
    MemoryError,
    NotImplementedError,
    struct.error,
    zlib.error,
)
"""Everything Pillow's decoders were seen to raise on damaged files."""

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_GREY_BEHIND_ALPHA = (128, 128, 128, 255)


def upright(picture: Image.Image) -> Image.Image:
    """As the EXIF orientation says; broken EXIF says nothing about the pixels."""
    try:
        transposition = _UPRIGHT.get(picture.getexif().get(_ORIENTATION_TAG, 1))
    except DECODER_ERRORS:
        return picture
    return picture if transposition is None else picture.transpose(transposition)


def rgb(picture: Image.Image) -> Image.Image:
    """16-bit grey is scaled to 8 bits, alpha is laid over mid grey, every other mode is converted."""
    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, _GREY_BEHIND_ALPHA), layer).convert("RGB")
    return picture.convert("RGB")
