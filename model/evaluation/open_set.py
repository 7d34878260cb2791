"""Measures open-set identification: strangers who are named and enrolled people who are not, as the service decides.

Terms and rates after ISO/IEC 19795-1. It chooses no threshold and writes nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.dataset import Dataset, Indices
from model.decision import LevelNotSupported, Policy
from model.error_rates.intervals import OF_AS_MANY_OTHERS, Estimate, drawn_people, pairs_of, rate_interval
from model.error_rates.scores import Floats
from model.evaluation.identification import PHOTOS, SIZES, Searches, nearest_of_each, search, shares_of
from model.manifest import DataSource, Interval, Manifest, contract_id
from model.search import SearchPoint, SearchPolicy

LEVELS = (0.1, 0.01)
"""FPIRs that the service is asked for."""
FPIR_GRID = tuple(float(f"{10**exponent:.3g}") for exponent in np.arange(-12, 0) / 4)
"""0.001 to 0.56, four a decade."""
_FEWEST_PEOPLE = 30
_ERRORS_EXPECTED = 3


@dataclass(frozen=True)
class AtLevel:
    """What the service's threshold for a level gives in galleries of one size.

    `fpir`: strangers under the threshold, `known_strangers`: those whom it answers as `known`. Of enrolled people:
    `fnir`, over the threshold; `known`, answered with the right name; `wrong_names`, with another; `ambiguous`, the
    rest.
    """

    point: SearchPoint
    fpir: Estimate
    known_strangers: Estimate
    fnir: Estimate
    known: Estimate
    ambiguous: Estimate
    wrong_names: Estimate


@dataclass(frozen=True)
class FnirAt:
    """FNIR at the threshold that gives this FPIR on these very people."""

    fpir: float
    fnir: Estimate


@dataclass(frozen=True)
class GalleryRates:
    """Searches in galleries of one size. `strangers`, `enrolled`: the people who were searched as such."""

    people: int
    photos: int
    galleries: int
    strangers: int
    enrolled: int
    nonmated_searches: int
    mated_searches: int
    levels: tuple[AtLevel, ...]
    curve: tuple[FnirAt, ...]  # rising FPIR


@dataclass(frozen=True)
class PersonVerification:
    """Comparing a picture with all of a person's photos, at the threshold for so many; `promised`: for the FMR."""

    photos: int
    level: float
    threshold: float
    promised: Interval
    fmr: Estimate
    fnmr: Estimate
    impostor_comparisons: int
    genuine_comparisons: int


@dataclass(frozen=True)
class OpenSet:
    """One bundle on people whom its calibration has not seen."""

    bundle: str
    version: str
    contract_id: str
    data: DataSource
    people_that_chose_thresholds: int
    galleries: tuple[GalleryRates, ...]
    verification: tuple[PersonVerification, ...]


def open_set(manifest: Manifest, dataset: Dataset, embeddings: NDArray[np.float32]) -> OpenSet:
    """All figures; embeddings (pictures, embedding_size). Raises BundleError where the bundle is not calibrated."""
    policy, labels = Policy(manifest), dataset.labels
    assert manifest.calibration is not None  # noqa: S101 - the policy has seen to that
    searching = SearchPolicy(manifest.calibration)
    return OpenSet(
        bundle=manifest.name,
        version=manifest.version,
        contract_id=contract_id(manifest),
        data=dataset.source,
        people_that_chose_thresholds=dataset.known_to(manifest.calibration.data.digests),
        galleries=tuple(
            gallery_rates(search(embeddings, labels, people, photos), searching) for people, photos in _sizes(labels)
        ),
        verification=tuple(
            rates
            for photos in PHOTOS
            if photos > 1 and _with_more_than(labels, photos) >= _FEWEST_PEOPLE
            for rates in person_verification(policy, embeddings, labels, photos)
        ),
    )


def _sizes(labels: Indices) -> Iterator[tuple[int, int]]:
    """People and photos of the galleries that these people are enough for."""
    for photos in PHOTOS:
        eligible = int(np.count_nonzero(np.bincount(labels) >= photos))
        if _with_more_than(labels, photos) >= _FEWEST_PEOPLE:
            yield from ((size, photos) for size in (*(size for size in SIZES if size < eligible), eligible))


def _with_more_than(labels: Indices, photos: int) -> int:
    return int(np.count_nonzero(np.bincount(labels) > photos))


def gallery_rates(searches: Searches, policy: SearchPolicy) -> GalleryRates:
    """Rates of searches at the service's thresholds for such a gallery, and at any."""
    strangers, mated = ~searches.mated, searches.mated
    levels = []
    for level in LEVELS:
        with suppress(LevelNotSupported):
            levels.append(at_point(searches, policy.point(level, searches.people, searches.people * searches.photos)))
    return GalleryRates(
        people=searches.people,
        photos=searches.photos,
        galleries=int(searches.gallery.max()) + 1,
        strangers=len(np.unique(searches.person[strangers])),
        enrolled=len(np.unique(searches.person[mated])),
        nonmated_searches=int(strangers.sum()),
        mated_searches=int(mated.sum()),
        levels=tuple(levels),
        curve=_curve(searches),
    )


def at_point(searches: Searches, point: SearchPoint) -> AtLevel:
    """Decides each search as the service does."""
    right = searches.own <= searches.other
    best = np.minimum(searches.own, searches.other)
    behind = np.where(right, searches.other, np.minimum(searches.own, searches.second)) - best
    under = best <= point.threshold
    known = under & (behind >= point.margin)
    missed, strangers, mated = searches.own > point.threshold, ~searches.mated, searches.mated
    fpir, known_strangers = shares_of(
        searches, strangers, np.stack([under[strangers], known[strangers]]), _evidence(searches)
    )
    rows = (missed, known & right, under & ~known, known & ~right)
    fnir, rightly, ambiguous, wrongly = shares_of(searches, mated, np.stack([row[mated] for row in rows]))
    return AtLevel(point, fpir, known_strangers, fnir, rightly, ambiguous, wrongly)


def _evidence(searches: Searches) -> float:
    """Where the strangers are those who are enrolled, two who are alike are counted twice: half the evidence."""
    strangers = np.unique(searches.person[~searches.mated])
    return OF_AS_MANY_OTHERS if len(strangers) == searches.people + 1 else 1.0


def _curve(searches: Searches) -> tuple[FnirAt, ...]:
    mated, nearest = searches.mated, np.sort(searches.other[~searches.mated])
    people = len(np.unique(searches.person[~searches.mated]))
    grid = [fpir for fpir in FPIR_GRID if fpir * people >= _ERRORS_EXPECTED]
    thresholds = np.array([nearest[int(fpir * len(nearest)) - 1] for fpir in grid])
    fnirs = shares_of(searches, mated, searches.own[mated] > thresholds[:, np.newaxis])
    return tuple(FnirAt(fpir, fnir) for fpir, fnir in zip(grid, fnirs, strict=True))


def person_verification(
    policy: Policy, embeddings: NDArray[np.float32], labels: Indices, photos: int
) -> Iterator[PersonVerification]:
    """A picture of everybody against each person with so many photos and a picture more, at the supported levels."""
    rng = np.random.default_rng(photos)
    pictures = [rng.permutation(np.flatnonzero(labels == person)) for person in range(int(labels.max()) + 1)]
    enrolled = [person for person, mine in enumerate(pictures) if len(mine) > photos]
    rows = np.concatenate([pictures[person][:photos] for person in enrolled])
    probes = [mine[photos] if len(mine) > photos else mine[0] for mine in pictures]
    nearest = nearest_of_each(embeddings[probes], embeddings[rows], photos)
    genuine = np.arange(len(pictures))[:, np.newaxis] == np.array(enrolled)
    for level in policy.operating_points:
        with suppress(LevelNotSupported):
            point = policy.operating_point(level, comparisons=photos)
            yield PersonVerification(
                photos=photos,
                level=level,
                threshold=point.threshold,
                promised=point.fmr_ci95,
                fmr=_over_people(nearest <= point.threshold, ~genuine, enrolled),
                fnmr=_over_people(nearest > point.threshold, genuine, enrolled),
                impostor_comparisons=int((~genuine).sum()),
                genuine_comparisons=len(enrolled),
            )


def _over_people(hits: NDArray[np.bool_], counted: NDArray[np.bool_], enrolled: Sequence[int]) -> Estimate:
    """The share of counted comparisons that are hits, (probes, enrolled); the people on either side are drawn."""
    drawn = drawn_people(len(hits))
    genuine = int(counted.sum()) == len(enrolled)
    columns = np.ones((len(drawn), len(enrolled))) if genuine else drawn[:, enrolled]
    errors, trials = ((columns * (drawn @ part)).sum(axis=1) for part in (hits & counted, counted))
    count, all_counted = int((hits & counted).sum()), int(counted.sum())
    weights: Floats = counted.sum(axis=1).astype(np.float64)
    weights[enrolled] += 0 if genuine else counted.sum(axis=0)
    independent = float(len(enrolled)) if genuine else pairs_of(len(enrolled))
    return Estimate(count / all_counted, rate_interval(count, all_counted, errors / trials, weights, independent))
