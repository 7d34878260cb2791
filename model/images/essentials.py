"""What of a picture file makes its pixels: all that Pillow sees; knows no format."""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

MAX_EXIF_BYTES = 2**16
"""A JPEG's EXIF cannot be longer. In other formats a longer block is dropped: reading it could take hours."""


@dataclass(frozen=True)
class Essentials:
    """A file without what decoding does not need: comments, colour profiles, previews, what follows the picture.

    `size` is (width, height) as the header says. `seconds` estimates the processor time that decoding takes: it puts
    pictures into classes, and is no promise. `open` gives the picture, no pixel of it decoded.
    """

    size: tuple[int, int]
    seconds: float
    open: Callable[[], Image.Image]
