"""Binary PGM and PPM files, read by numpy; knows no other format.

Source: the pages pgm(5) and ppm(5) of Netpbm.
"""

import re
from functools import partial

import numpy as np
from PIL import Image

from model.images.essentials import Essentials
from model.images.refusals import CorruptImage, ImageLimits

_MAX_HEADER_BYTES = 2**16
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_HEADER = re.compile(rb"P([56])" + (_GAP + rb"(\d{1,10})") * 3 + rb"\s")
_SECONDS_PER_SAMPLE = 5e-9


def essentials(data: bytes, limits: ImageLimits) -> Essentials:
    """The first picture in the file. Raises TooManyPixels, ImageTooSmall or CorruptImage."""
    header = _HEADER.match(data[:_MAX_HEADER_BYTES])
    if header is None:
        raise CorruptImage
    width, height, largest = (int(number) for number in header.groups()[1:])
    limits.check((width, height))
    if not 0 < largest < 2**16:
        raise CorruptImage
    shape = (height, width) if header[1] == b"5" else (height, width, 3)
    seconds = float(np.prod(shape)) * _SECONDS_PER_SAMPLE
    return Essentials((width, height), seconds, partial(_picture, data, header.end(), shape, largest))


def _picture(data: bytes, start: int, shape: tuple[int, ...], largest: int) -> Image.Image:
    """Samples of 0..`largest` scaled to 0..255; larger ones are taken for `largest`. Raises ValueError if cut off."""
    samples = np.frombuffer(data, "u1" if largest < 256 else ">u2", int(np.prod(shape)), start).reshape(shape)
    if largest == 255:
        return Image.fromarray(samples)
    levels = np.arange(2 ** (8 * samples.itemsize)).clip(max=largest)
    scaled = np.rint(levels / largest * 255) if largest < 256 else levels * 0xFFFF // largest >> 8
    return Image.fromarray(scaled.astype(np.uint8)[samples])
