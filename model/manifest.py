"""Defines manifest.json: what a bundle records about itself, and the identity of its embedding space."""

import hashlib
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias

import msgspec

from model.faces.face import CascadeSearch, CropGeometry, Length, Search
from model.faces.golden import GoldenFace

MANIFEST = "manifest.json"

Rate: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Distance: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]
Interval: TypeAlias = tuple[Rate, Rate]


class BundleError(Exception):
    """The bundle cannot be used or saved; the message is one line, in the operator's terms."""


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True): ...


class Histogram(Strict, frozen=True):
    """How many values lie in each bin: n + 1 edges, n counts; what lies beyond the ends is in the end bins."""

    edges: tuple[float, ...]
    counts: tuple[Count, ...]

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.counts) + 1 or not self.counts:
            raise ValueError("a histogram has one more edge than counts")
        if not all(left < right for left, right in pairwise(self.edges)):
            raise ValueError("the edges of a histogram rise")


class Histograms(Strict, frozen=True):
    """Distances of all pairs and qualities of all faces of the calibration data."""

    impostor_distance: Histogram
    genuine_distance: Histogram
    size_px: Histogram
    sharpness: Histogram
    brightness: Histogram


class Domain(Strict, frozen=True):
    """The range of calibration pictures: the middle 99.8 % of each measure, widened a little.

    `from_mean` is the distance of an embedding from `mean_embedding`, the mean over all calibration pictures.
    """

    sharpness: tuple[float, float]
    brightness: tuple[float, float]
    colour: tuple[float, float]
    from_mean: tuple[float, float]
    mean_embedding: tuple[float, ...]


class DataSource(Strict, frozen=True):
    """Which pictures: the folder's name, a digest over all of them, and an entry for each person.

    An entry holds short digests of the person's pictures, separated by spaces (in older bundles: one digest of all of
    them together). Evaluation can therefore leave out whoever was in training, whatever their folder is called and
    whichever pictures were added since. No name enters a bundle, but who holds one of the files can tell that it was
    used.
    """

    name: str
    sha256: str
    pictures: Count
    people: tuple[str, ...]

    @property
    def digests(self) -> frozenset[str]:
        """Every digest of every entry."""
        return _digests(self.people)


class Training(Strict, frozen=True):
    """Where the weights come from. `seen_before`: entries of people whom the starting weights had learnt from.

    `undisclosed`: published networks that the weights started from and whose training people are not published.
    """

    recipe: dict[str, str | int | float]
    data: DataSource
    commit: str
    versions: dict[str, str]
    seen_before: tuple[str, ...] = ()
    undisclosed: tuple[str, ...] = ()

    @property
    def seen_people(self) -> tuple[str, ...]:
        """Entries of everybody whom the weights have learnt from, in this training or before it."""
        return tuple(sorted({*self.seen_before, *self.data.people}))

    @property
    def seen(self) -> frozenset[str]:
        """Every digest of these entries."""
        return _digests(self.seen_people)


class OperatingPoint(Strict, frozen=True):
    """A threshold and the error rates behind it: `fmr` is the level asked for, the intervals are measured.

    `Calibration.intervals` says what they hold. `measured_on`: "all" pictures, or a warning: then the rates are of the
    pairs of which a picture at least bears it, and `people` those who have such a picture. `measured_fmr`: the FMR of
    these pairs at the threshold; where all pictures are meant, bundles before 0.2 have none.
    """

    fmr: Rate
    threshold: Distance
    fmr_ci95: Interval
    fnmr: Rate
    fnmr_ci95: Interval
    impostor_pairs: Count
    genuine_pairs: Count
    people: Count
    measured_on: str = "all"
    measured_fmr: Rate | None = None


class Level(Strict, frozen=True):
    """A false match rate and its operating point, or the reason why the data cannot support it.

    `with_warning`: the rates at the same threshold for pictures that bear a warning, where the data supports them.
    """

    fmr: Rate
    operating_point: OperatingPoint | None
    reason: str | None = None
    with_warning: tuple[OperatingPoint, ...] = ()


class TailPoint(Strict, frozen=True):
    """The share `fmr` of calibration impostor pairs is at least as close as `distance`."""

    distance: Distance
    fmr: Rate
    ci95: Interval


class GenuinePoint(Strict, frozen=True):
    """The share `fnmr` of calibration genuine pairs is farther apart than `distance`."""

    distance: Distance
    fnmr: Rate
    ci95: Interval


class GenuineTail(Strict, frozen=True):
    """What the genuine pairs say, for who has none of their own: points that rise with distance."""

    data: DataSource
    pairs: Count
    points: tuple[GenuinePoint, ...]


class RatePoint(Strict, frozen=True):
    """A share of searches that come under `distance`, with its 95 % interval over people."""

    distance: Distance
    rate: Rate
    ci95: Interval


class SearchTail(Strict, frozen=True):
    """Searches of one kind in galleries of so many `people` with so many `photos` each: points that rise with distance.

    `searchers`: the people who were searched, in `searches` searches of all galleries together.
    """

    people: Count
    photos: Count
    searchers: Count
    searches: Count
    points: tuple[RatePoint, ...]


class Identification(Strict, frozen=True):
    """What searches among the calibration people give, from which thresholds follow for galleries of any size.

    `nonmated`: strangers, by size, one photo a person; the distance is the nearest person's. `mated`: enrolled people,
    by photos; the distance is that of their own nearest photo. `margin`: so far behind the best others must lie.
    """

    nonmated: tuple[SearchTail, ...]
    mated: tuple[SearchTail, ...]
    margin: Distance


class Calibration(Strict, frozen=True):
    """What the distances mean, measured on people that training never saw. The tail rises with distance.

    `intervals`: all are 95 % intervals. Of 100 samples of as many other people, 95 show a rate inside a prediction
    interval. A confidence interval, in calibrations by versions before 0.2, is narrower: it holds the rate of all
    such people together.
    The FNMRs of the levels are of the pairs of `genuine_tail`, whose data is another than `data` where that holds one
    picture a person.
    """

    data: DataSource
    levels: tuple[Level, ...]
    default_fmr: Rate
    impostor_tail: tuple[TailPoint, ...]
    fmr_ci95_below_tail: Interval
    genuine_tail: GenuineTail | None = None
    histograms: Histograms | None = None
    domain: Domain | None = None
    identification: Identification | None = None
    intervals: Literal["confidence", "prediction"] = "confidence"

    @property
    def operating_points(self) -> dict[float, OperatingPoint]:
        """The levels that the data supports, in their order: FMR to operating point."""
        return {level.fmr: level.operating_point for level in self.levels if level.operating_point}


class DetectorSpec(Strict, frozen=True, tag_field="name", tag="yunet"):
    """Finds faces and their landmarks before they are cropped; its weights are a file of the bundle."""

    weights_sha256: str
    search: Search
    name: ClassVar[str] = "yunet"


class MtcnnSpec(Strict, frozen=True, tag_field="name", tag="mtcnn"):
    weights_sha256: str
    search: CascadeSearch
    name: ClassVar[str] = "mtcnn"


LENGTH_TOLERANCE = 1e-3
"""How far from 1 the length of a normalized embedding may lie: half precision keeps it closer."""


class Manifest(Strict, frozen=True):
    """manifest.json. `calibration` is None until operating points were measured; such a bundle is not served.

    `detector` is None where the whole picture is taken as the face. Where `mirrored`, an embedding is the mean of what
    the network says of the crop and of its mirror image, brought to unit length. `golden_face` is what the detector saw
    in a drawn picture when the bundle was made. `self_test`: the distances of all pairs of four golden crops.
    """

    name: str
    version: str
    backbone: str
    embedding_size: Length
    normalized: bool
    mirrored: bool
    metric: Literal["euclidean"]
    crop: CropGeometry
    detector: DetectorSpec | MtcnnSpec | None
    weights_sha256: str
    self_test: Annotated[tuple[Distance, ...], msgspec.Meta(min_length=6, max_length=6)]
    licences: tuple[str, ...]
    training: Training
    calibration: Calibration | None = None
    golden_face: GoldenFace | None = None
    format: Literal[1] = 1


def _digests(people: Iterable[str]) -> frozenset[str]:
    return frozenset(digest for entry in people for digest in entry.split())


def read(folder: Path) -> Manifest:
    """The manifest of the bundle in `folder`, without its weights. Raises BundleError."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise BundleError(f"bundle {folder}: {error}") from error


def contract_id(manifest: Manifest) -> str:
    """Names the embedding space: embeddings may be compared if and only if their contract ids are equal.

    Depends on everything that moves an embedding and on nothing else: calibrating again keeps it.
    """
    space = [
        manifest.backbone,
        manifest.weights_sha256,
        manifest.detector,
        manifest.crop,
        manifest.normalized,
        manifest.mirrored,
        manifest.metric,
    ]
    return "sha256:" + hashlib.sha256(msgspec.json.encode(space)).hexdigest()
