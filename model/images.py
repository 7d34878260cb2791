"""Bytes of an untrusted picture file to one upright RGB array; knows nothing of faces."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, PngImagePlugin, PpmImagePlugin, WebPImagePlugin

Rgb: TypeAlias = NDArray[np.uint8]
"""An upright picture: uint8, shape (height, width, 3), values 0..255."""


class InvalidImage(Exception):  # noqa: N818 - the subclasses name what is wrong with the image
    """The picture cannot be used; each subclass is one reason.

    InvalidImage
      x UnsupportedFormat    not JPEG, PNG, WebP or binary PGM/PPM, judged by the first bytes
      x CorruptImage         the decoder gave up
      x ImageTooSmall        a side is shorter than the limit
      x TooManyPixels        width x height, as the header says, is over the limit
      x AnimatedImage        more than one frame
    """


class UnsupportedFormat(InvalidImage): ...


class CorruptImage(InvalidImage): ...


class ImageTooSmall(InvalidImage): ...


class TooManyPixels(InvalidImage): ...


class AnimatedImage(InvalidImage): ...


@dataclass(frozen=True)
class ImageLimits:
    """What a picture may measure. Lengths in pixels, before EXIF orientation is applied."""

    max_pixels: int = 25_000_000
    min_side: int = 32


# Everything Pillow's decoders were seen to raise on damaged files.
_DECODER_ERRORS = (
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


def decode(data: bytes, limits: ImageLimits | None = None) -> Rgb:
    """The picture in `data`, upright, as uint8 RGB of shape (height, width, 3).

    16-bit grey is scaled to 8 bits, alpha is laid over mid grey, every other mode is converted.
    Raises the subclass of InvalidImage that names the reason; sizes are judged before any pixel is decoded.
    """
    try:
        with _opener(data)(io.BytesIO(data)) as picture:
            _check(picture, limits or ImageLimits())
            picture.load()
            return np.asarray(_rgb(_upright(picture)), dtype=np.uint8)
    except Image.DecompressionBombError as error:
        raise TooManyPixels from error  # Pillow's own limit, for formats whose size it judges before we can
    except _DECODER_ERRORS as error:
        raise CorruptImage from error


def _opener(data: bytes) -> Callable[[io.BytesIO], Image.Image]:
    # The plug-in is called directly: Image.open would import and try formats that nobody allowed.
    if data.startswith(b"\xff\xd8\xff"):
        return JpegImagePlugin.JpegImageFile
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImagePlugin.PngImageFile
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WebPImagePlugin.WebPImageFile
    if data[:2] in (b"P5", b"P6") and data[2:3].isspace():
        return PpmImagePlugin.PpmImageFile
    raise UnsupportedFormat


def _check(picture: Image.Image, limits: ImageLimits) -> None:
    if picture.width * picture.height > limits.max_pixels:
        raise TooManyPixels
    if min(picture.size) < limits.min_side:
        raise ImageTooSmall
    if getattr(picture, "n_frames", 1) > 1:
        raise AnimatedImage


def _upright(picture: Image.Image) -> Image.Image:
    try:
        transposition = _UPRIGHT.get(picture.getexif().get(_ORIENTATION_TAG, 1))
    except _DECODER_ERRORS:
        return picture  # broken EXIF says nothing about the pixels
    return picture if transposition is None else picture.transpose(transposition)


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, _GREY_BEHIND_ALPHA), layer).convert("RGB")
    return picture.convert("RGB")
