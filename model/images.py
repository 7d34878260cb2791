"""Decodes an untrusted picture file into one upright RGB array. It knows nothing of faces."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, PngImagePlugin, PpmImagePlugin, WebPImagePlugin

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
    """Turns the picture as its EXIF orientation says. Broken EXIF is ignored."""
    try:
        transposition = _UPRIGHT.get(picture.getexif().get(_ORIENTATION_TAG, 1))
    except DECODER_ERRORS:
        return picture
    return picture if transposition is None else picture.transpose(transposition)


def rgb(picture: Image.Image) -> Image.Image:
    """Scales 16-bit grey to 8 bits, lays alpha over mid grey, converts every other mode."""
    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, _GREY_BEHIND_ALPHA), layer).convert("RGB")
    return picture.convert("RGB")


def webp_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels, or None where the first chunk is no picture's."""
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + _number(data[24:27]), 1 + _number(data[27:30])
    if kind == b"VP8L":
        bits = _number(data[21:25])
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        return _number(data[26:28]) & 0x3FFF, _number(data[28:30]) & 0x3FFF
    return None


def _number(digits: bytes) -> int:
    return int.from_bytes(digits, "little")


Rgb: TypeAlias = NDArray[np.uint8]
"""An upright picture: uint8, shape (height, width, 3), values 0..255."""


class InvalidImage(Exception):  # noqa: N818 - the subclasses name what is wrong with the image
    """The picture cannot be used; each subclass is one reason.

    InvalidImage
      x UnsupportedFormat    not JPEG, PNG, WebP or binary PGM/PPM, judged by the first bytes
      x CorruptImage         the decoder gave up
      x ImageTooSmall        a side is shorter than the limit
      x TooManyPixels        width x height, as the header says, is over the limit
      x TooExpensive         a JPEG of more scans than the limit
      x AnimatedImage        more than one frame
    """


class UnsupportedFormat(InvalidImage): ...


class CorruptImage(InvalidImage): ...


class ImageTooSmall(InvalidImage): ...


class TooManyPixels(InvalidImage): ...


class TooExpensive(InvalidImage): ...


class AnimatedImage(InvalidImage): ...


@dataclass(frozen=True)
class ImageLimits:
    """The limits of a picture. Lengths are in pixels, before EXIF orientation is applied."""

    max_pixels: int = 25_000_000
    min_side: int = 32
    max_scans: int = 100


# Pixel data never contains it: there 0xff is followed by 0 or a restart marker.
_SCAN_MARKER = b"\xff\xda"
_WORKING_SIDE = 1000
"""Pictures at least twice as long are reduced: a face at the detector's lower end then still has 100 pixels."""


@dataclass(frozen=True)
class WorkingCopy:
    """An upright picture, reduced where it is large, and the (width, height) that it has unreduced."""

    pixels: Rgb
    size: tuple[int, int]

    @property
    def scale(self) -> float:
        """Pixels of the picture per pixel of the copy, along a side.

        The copy's sides are rounded up, each by itself: by the smaller of the two ratios nothing reaches beyond.
        """
        height, width = self.pixels.shape[:2]
        return float(min(self.size[0] / width, self.size[1] / height))


def decode(data: bytes, limits: ImageLimits | None = None) -> Rgb:
    """The picture in `data`, upright, as uint8 RGB of shape (height, width, 3).

    16-bit grey is scaled to 8 bits, alpha is laid over mid grey, every other mode is converted.
    Raises the subclass of InvalidImage that names the reason; sizes are judged before any pixel is decoded.
    """
    with _opened(data, limits or ImageLimits()) as picture:
        picture.load()
        return np.asarray(rgb(upright(picture)), dtype=np.uint8)


def working_copy(data: bytes, limits: ImageLimits | None = None) -> WorkingCopy:
    """The copy that training and serving use: `decode`, where the picture is not large.

    Larger ones are reduced by 2, 4 or 8 to no less than 1,000 pixels along the longer side: a JPEG while it is
    decoded, for a fraction of the cost. Raises as `decode` does.
    """
    with _opened(data, limits or ImageLimits()) as picture:
        width, height = picture.size
        factor = max(power for power in (1, 2, 4, 8) if power == 1 or max(width, height) >= power * _WORKING_SIDE)
        if factor > 1:
            picture.draft(None, (width // factor, height // factor))
        reduced_by_decoder = picture.size != (width, height)
        picture.load()
        image = rgb(upright(picture))
        turned = (image.width < image.height) != (picture.width < picture.height)
        if factor > 1 and not reduced_by_decoder:
            image = image.reduce(factor)
        return WorkingCopy(np.asarray(image, dtype=np.uint8), (height, width) if turned else (width, height))


@contextmanager
def _opened(data: bytes, limits: ImageLimits) -> Iterator[Image.Image]:
    """Opens the picture and checks its header; decodes no pixel. Faults of the decoder become CorruptImage."""
    try:
        opener = _opener(data)
        if opener is WebPImagePlugin.WebPImageFile and (size := webp_size(data)):
            _check(size, limits)
        with opener(io.BytesIO(data)) as picture:
            _check(picture.size, limits)
            if getattr(picture, "n_frames", 1) > 1:
                raise AnimatedImage
            if picture.format == "JPEG" and data.count(_SCAN_MARKER) > limits.max_scans:
                raise TooExpensive
            yield picture
    except Image.DecompressionBombError as error:
        raise TooManyPixels from error  # Pillow's own limit, for formats whose size it judges before we can
    except DECODER_ERRORS as error:
        raise CorruptImage from error


def is_picture(data: bytes) -> bool:
    """Whether the first bytes are those of a JPEG, PNG, WebP or binary PGM/PPM file."""
    try:
        _opener(data)
    except UnsupportedFormat:
        return False
    return True


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


def _check(size: tuple[int, int], limits: ImageLimits) -> None:
    if size[0] * size[1] > limits.max_pixels:
        raise TooManyPixels
    if min(size) < limits.min_side:
        raise ImageTooSmall
