"""Measures searches in galleries made of calibration people: strangers who are named, enrolled people who are not.

It chooses no threshold. Open-set identification after ISO/IEC 19795-1: FPIR and FNIR.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.dataset import Indices
from model.error_rates.at_thresholds import rounded
from model.error_rates.intervals import drawn_people, rate_interval
from model.error_rates.scores import Floats
from model.manifest import Identification, RatePoint, SearchTail

SIZES = (100, 500)
PHOTOS = (1, 3)
"""Photos of a person in the gallery."""
_GALLERIES, _SEARCHES = 20, 20_000
"""Random galleries of each size, and searches in them: more hardly narrow an interval, with the same people in all."""
_FEWEST_PEOPLE = 30
_MARGIN = 0.05
"""Of the threshold, at least."""
_WRONG_NAMES = 0.0025
"""The share of searches by enrolled people that may name another one, where the margin is chosen."""
_PREFERRED_FPIR = 0.01


@dataclass(frozen=True)
class Searches:
    """Searches of one kind in galleries of one size. Arrays have a value for each search.

    `own`: distance from the person's nearest photo in the gallery (infinite for strangers); `other`: from the nearest
    photo of anybody else.
    """

    people: int
    photos: int
    person: Indices
    gallery: Indices
    own: Floats
    other: Floats

    @property
    def mated(self) -> NDArray[np.bool_]:
        return np.isfinite(self.own)


def search(embeddings: NDArray[np.float32], labels: Indices, people: int, photos: int) -> Searches:
    """Searches one picture of everybody in random galleries of so many `people` with so many `photos` each.

    Of whoever is in the gallery, a picture is searched that is not; who has none is not searched. Where everybody is
    in it, each is also searched as a stranger, among all others.
    """
    rng = np.random.default_rng([people, photos])
    pictures = [np.flatnonzero(labels == person) for person in range(int(labels.max()) + 1)]
    eligible = [person for person, mine in enumerate(pictures) if len(mine) >= photos]
    galleries = max(3, min(_GALLERIES, _SEARCHES // len(pictures)))
    parts = []
    for _ in range(galleries):
        inside = rng.permutation(eligible)[:people]
        shuffled = {person: rng.permutation(mine) for person, mine in enumerate(pictures)}
        parts.append(_one_gallery(embeddings, inside, shuffled, photos))
    columns = [np.concatenate([part[index] for part in parts]) for index in range(3)]
    numbers = np.repeat(np.arange(galleries), [len(part[0]) for part in parts])
    size = min(people, len(eligible), len(pictures) - 1)  # whoever is in it is compared with all but themselves
    return Searches(size, photos, columns[0].astype(np.int64), numbers, columns[1], columns[2])


def _one_gallery(
    embeddings: NDArray[np.float32], inside: Indices, pictures: dict[int, Indices], photos: int
) -> tuple[Floats, Floats, Floats]:
    """Who was searched, the distance to their own photos, and to the nearest of all others."""
    owners = np.repeat(inside, photos)
    enrolled = embeddings[np.concatenate([pictures[int(person)][:photos] for person in inside])]
    members = set(inside.tolist())
    everybody_in = len(members) == len(pictures)
    mated = [person for person in members if len(pictures[person]) > photos]
    strangers = list(members if everybody_in else pictures.keys() - members)
    probes = [(person, pictures[person][photos], True) for person in mated]
    probes += [(person, pictures[person][0], False) for person in strangers]
    distance = _distances(embeddings[[picture for _, picture, _ in probes]], enrolled)
    mine = np.array([person for person, _, _ in probes])[:, np.newaxis] == owners
    own = np.where(mine, distance, np.inf).min(axis=1)
    own[[not is_mated for _, _, is_mated in probes]] = np.inf
    other = np.where(mine, np.inf, distance).min(axis=1)
    return np.array([person for person, _, _ in probes], np.float64), own, other


def _distances(first: NDArray[np.float32], second: NDArray[np.float32]) -> Floats:
    """Euclidean, (probes, photos), to about seven decimals."""
    one, other = first.astype(np.float64), second.astype(np.float64)
    squared = (one**2).sum(axis=1)[:, np.newaxis] + (other**2).sum(axis=1) - 2 * one @ other.T
    distance: Floats = np.sqrt(np.maximum(squared, 0))
    return distance


def identification_of(
    embeddings: NDArray[np.float32], labels: Indices, sizes: Sequence[int] = SIZES
) -> Identification | None:
    """What a service needs to choose thresholds of searches; None where there are too few people."""
    counts = np.bincount(labels)
    people = int(np.count_nonzero(counts))
    if people <= _FEWEST_PEOPLE:
        return None
    measured = [search(embeddings, labels, size, 1) for size in (*(s for s in sizes if 2 * s <= people), people)]
    several = [photos for photos in PHOTOS if np.count_nonzero(counts > photos) >= _FEWEST_PEOPLE]
    mated = [search(embeddings, labels, people, photos) for photos in several]
    nonmated = tuple(_tail(searches, ~searches.mated, searches.other) for searches in measured)
    return Identification(
        nonmated=nonmated,
        mated=tuple(_tail(searches, searches.mated, searches.own) for searches in mated),
        margin=margin_of(mated[0] if mated else None, nonmated[-1]),
    )


def _tail(searches: Searches, kind: NDArray[np.bool_], distance: Floats) -> SearchTail:
    """The shares of these searches that come under rising distances."""
    distance, person, gallery = distance[kind], searches.person[kind], searches.gallery[kind]
    at = _tail_distances(distance)
    hits = (distance <= at[:, np.newaxis]).astype(np.float32)
    people, index = np.unique(person, return_inverse=True)
    drawn = drawn_people(len(people))[:, index] * drawn_people(int(gallery.max()) + 1, seed=1)[:, gallery]
    resampled = hits @ drawn.T.astype(np.float32) / drawn.sum(axis=1)
    points = []
    for threshold, hit, rates in zip(at, hits, resampled, strict=True):
        each = np.bincount(index, hit) / np.bincount(index)  # a person's searches in many galleries are one trial
        errors, trials = round(float(each.sum())), len(people)
        low, high = rate_interval(errors, trials, rates.astype(np.float64), np.ones(trials), trials)
        points.append(RatePoint(rounded(float(threshold)), rounded(float(hit.mean())), (rounded(low), rounded(high))))
    return SearchTail(searches.people, searches.photos, len(people), int(kind.sum()), tuple(points))


def _tail_distances(distance: Floats) -> Floats:
    """The distances at ranks that grow by a fifth, up to all: about fifty; rising."""
    closest = np.sort(distance)
    ranks = np.unique(np.round(1.2 ** np.arange(0, np.log(len(closest)) / np.log(1.2))).astype(np.int64))
    return np.unique(np.ceil(closest[np.append(ranks, len(closest)) - 1] * 1e6) / 1e6)


def margin_of(mated: Searches | None, nonmated: SearchTail) -> float:
    """So far behind the best another person must lie that few searches by enrolled people name another one."""
    within = [point.distance for point in nonmated.points if point.rate <= _PREFERRED_FPIR]
    threshold = within[-1] if within else nonmated.points[0].distance
    least = _MARGIN * threshold
    if mated is None:
        return round(least, 6)
    searched = mated.mated
    own, other = mated.own[searched], mated.other[searched]
    # How far the wrong name is ahead; nothing where it is over the threshold or behind.
    ahead = np.where(other <= threshold, np.maximum(own - other, 0), 0)
    return round(max(least, float(np.quantile(ahead, 1 - _WRONG_NAMES))), 6)
