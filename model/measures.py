"""What is counted of many pictures and kept in a manifest; knows no bundle."""

from typing import Annotated, TypeAlias

import msgspec

Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Distance: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]
Interval: TypeAlias = tuple[Share, Share]


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True): ...


class Histogram(Strict, frozen=True):
    """How many values lie in each bin: n + 1 edges, n counts; what lies beyond the ends is in the end bins."""

    edges: tuple[float, ...]
    counts: tuple[Count, ...]


class Histograms(Strict, frozen=True):
    """Distances of all pairs and qualities of all faces of the calibration data."""

    impostor_distance: Histogram
    genuine_distance: Histogram
    size_px: Histogram
    sharpness: Histogram
    brightness: Histogram


class Domain(Strict, frozen=True):
    """What calibration pictures are like: the lowest and highest of the middle 99.8 % of each measure, and a bit.

    `from_mean` is the distance of an embedding from `mean_embedding`, the mean over all calibration pictures.
    """

    sharpness: tuple[float, float]
    brightness: tuple[float, float]
    colour: tuple[float, float]
    from_mean: tuple[float, float]
    mean_embedding: tuple[float, ...]
