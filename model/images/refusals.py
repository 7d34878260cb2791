"""The limits of a picture and the reasons to refuse one; knows no format."""

from dataclasses import dataclass


class InvalidImage(Exception):  # noqa: N818 - the subclasses name what is wrong with the image
    """The picture cannot be used; each subclass is one reason.

    InvalidImage
      x UnsupportedFormat    not JPEG, PNG, WebP or binary PGM/PPM, or a kind of JPEG that few programs read
      x CorruptImage         the decoder gave up
      x ImageTooSmall        a side is shorter than the limit
      x TooManyPixels        width x height, as the header says, is over the limit
      x TooExpensive         decoding takes more work than the limit, or more memory than there is
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
    """What a picture may measure. Lengths in pixels, before EXIF orientation is applied."""

    max_pixels: int = 25_000_000
    min_side: int = 32
    max_scans: int = 100

    @property
    def max_samples(self) -> int:
        """Samples that all scans of a JPEG may visit. libjpeg's own progressive files take 14 a pixel, 24 for CMYK."""
        return 26 * self.max_pixels

    def check(self, size: tuple[int, int]) -> None:
        """Judges (width, height). Raises TooManyPixels or ImageTooSmall."""
        if size[0] * size[1] > self.max_pixels:
            raise TooManyPixels
        if min(size) < self.min_side:
            raise ImageTooSmall
