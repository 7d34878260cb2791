"""Decodes an untrusted picture file into one upright RGB array. It knows nothing of faces."""

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.images import jpeg, png, pnm, webp
from model.images.essentials import Essentials
from model.images.refusals import CorruptImage, ImageLimits, TooExpensive, TooManyPixels, UnsupportedFormat

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
_SIDEWAYS = {_UPRIGHT[orientation] for orientation in (5, 6, 7, 8)}
_GREY_BEHIND_ALPHA = (128, 128, 128, 255)
_STRIP_ROWS = 256


def upright(picture: Image.Image) -> Image.Image:
    """Turns the picture as its EXIF orientation says. Broken EXIF is ignored."""
    transposition = _transposition(picture)
    return picture if transposition is None else picture.transpose(transposition)


def _transposition(picture: Image.Image) -> Image.Transpose | None:
    try:
        return _UPRIGHT.get(picture.getexif().get(_ORIENTATION_TAG, 1))
    except DECODER_ERRORS:
        return None


def rgb(picture: Image.Image) -> Image.Image:
    """Scales 16-bit grey to 8 bits, lays alpha over mid grey, converts every other mode."""
    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        return _over_grey(picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _over_grey(picture: Image.Image) -> Image.Image:
    """In strips: at once, the picture would be in memory four times."""
    opaque = Image.new("RGB", picture.size)
    for top in range(0, picture.height, _STRIP_ROWS):
        strip = picture.crop((0, top, picture.width, min(top + _STRIP_ROWS, picture.height))).convert("RGBA")
        grey = Image.new("RGBA", strip.size, _GREY_BEHIND_ALPHA)
        opaque.paste(Image.alpha_composite(grey, strip).convert("RGB"), (0, top))
    return opaque


Rgb: TypeAlias = NDArray[np.uint8]
"""An upright picture: uint8, shape (height, width, 3), values 0..255."""


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
    limits = limits or ImageLimits()
    with _opened(essentials(data, limits), limits) as picture:
        picture.load()
        return np.asarray(rgb(upright(picture)), dtype=np.uint8)


def working_copy(data: bytes, limits: ImageLimits | None = None) -> WorkingCopy:
    """The copy that training and serving use: `decode`, where the picture is not large.

    Larger ones are reduced by 2, 4 or 8 to no less than 1,000 pixels along the longer side: a JPEG while it is
    decoded, for a fraction of the cost. Raises as `decode` does.
    """
    limits = limits or ImageLimits()
    return copy_of(essentials(data, limits), limits)


def copy_of(file: Essentials, limits: ImageLimits) -> WorkingCopy:
    """`working_copy` of a file whose essentials are known."""
    with _opened(file, limits) as picture:
        width, height = picture.size
        factor = max(power for power in (1, 2, 4, 8) if power == 1 or max(width, height) >= power * _WORKING_SIDE)
        if factor > 1:
            picture.draft(None, (max(1, width // factor), max(1, height // factor)))
        reduced_by_decoder = picture.size != (width, height)
        picture.load()
        image = rgb(upright(picture))
        turned = _transposition(picture) in _SIDEWAYS
        if factor > 1 and not reduced_by_decoder:
            image = image.reduce(factor)
        return WorkingCopy(np.asarray(image, dtype=np.uint8), (height, width) if turned else (width, height))


@contextmanager
def _opened(file: Essentials, limits: ImageLimits) -> Iterator[Image.Image]:
    """The picture, no pixel of it decoded; faults of the decoder within are CorruptImage."""
    try:
        with file.open() as picture:
            limits.check(picture.size)
            yield picture
    except Image.DecompressionBombError as error:
        raise TooManyPixels from error  # Pillow's own limit, below one that a setting has raised
    except MemoryError as error:
        raise TooExpensive from error
    except DECODER_ERRORS as error:
        raise CorruptImage from error


def essentials(data: bytes, limits: ImageLimits) -> Essentials:
    """What Pillow will see of the file. Decodes nothing; raises as `decode` does."""
    return _reader(data)(data, limits)


def is_picture(data: bytes) -> bool:
    """Whether the first bytes are those of a JPEG, PNG, WebP or binary PGM/PPM file."""
    try:
        _reader(data)
    except UnsupportedFormat:
        return False
    return True


def _reader(data: bytes) -> Callable[[bytes, ImageLimits], Essentials]:
    # They call Pillow's plug-ins directly: Image.open would import and try formats that nobody allowed.
    if data.startswith(b"\xff\xd8\xff"):
        return jpeg.essentials
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return png.essentials
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return webp.essentials
    if data[:2] in (b"P5", b"P6") and data[2:3].isspace():
        return pnm.essentials
    raise UnsupportedFormat
