"""Measures searches in galleries made of calibration people: strangers who are named, enrolled people who are not.

It chooses no threshold. Open-set identification after ISO/IEC 19795-1: FPIR and FNIR.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.dataset import Indices
from model.error_rates.at_thresholds import rounded
from model.error_rates.intervals import Estimate, drawn_people, rate_interval
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
    photo of anybody else; `second`: of whoever comes after that one.
    """

    people: int
    photos: int
    person: Indices
    gallery: Indices
    own: Floats
    other: Floats
    second: Floats

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
    person, *columns = (np.concatenate([part[index] for part in parts]) for index in range(4))
    numbers = np.repeat(np.arange(galleries), [len(part[0]) for part in parts])
    size = min(people, len(eligible), len(pictures) - 1)  # whoever is in it is compared with all but themselves
    return Searches(size, photos, person.astype(np.int64), numbers, *columns)


def _one_gallery(
    embeddings: NDArray[np.float32], inside: Indices, pictures: dict[int, Indices], photos: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Who was searched, the distances to their own photos, to the nearest other person and to the next."""
    enrolled = embeddings[np.concatenate([pictures[int(person)][:photos] for person in inside])]
    members = set(inside.tolist())
    everybody_in = len(members) == len(pictures)
    mated = [person for person in members if len(pictures[person]) > photos]
    strangers = list(members if everybody_in else pictures.keys() - members)
    probes = [(person, pictures[person][photos], True) for person in mated]
    probes += [(person, pictures[person][0], False) for person in strangers]
    nearest = nearest_of_each(embeddings[[picture for _, picture, _ in probes]], enrolled, photos)
    mine = np.array([person for person, _, _ in probes])[:, np.newaxis] == inside
    own = np.where(mine, nearest, np.inf).min(axis=1)
    own[[not is_mated for _, _, is_mated in probes]] = np.inf
    nearest[mine] = np.inf
    other, second = np.partition(nearest, 1, axis=1)[:, :2].T
    return np.array([person for person, _, _ in probes], np.float64), own, other, second


def nearest_of_each(probes: NDArray[np.float32], enrolled: NDArray[np.float32], photos: int) -> Floats:
    """The distance of each probe to each person's nearest photo, (probes, people); `enrolled` has so many a person."""
    nearest: Floats = _distances(probes, enrolled).reshape(len(probes), -1, photos).min(axis=2)
    return nearest


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
    nonmated = tuple(_tail(tried, ~tried.mated, tried.other, _near_ranks) for tried in measured)
    usual = max(0, len(measured) - 2)  # the largest of `sizes`, where there are enough people
    return Identification(
        nonmated=nonmated,
        mated=tuple(_tail(tried, tried.mated, tried.own, _far_ranks) for tried in mated),
        margin=margin_of(measured[usual], nonmated[usual]),
    )


def _tail(searches: Searches, kind: NDArray[np.bool_], distance: Floats, ranks: Callable[[int], Indices]) -> SearchTail:
    """The shares of these searches that come under rising distances, those of these ranks."""
    closest = np.sort(distance[kind])
    at = np.unique(np.ceil(closest[ranks(len(closest)) - 1] * 1e6) / 1e6)
    shares = shares_of(searches, kind, distance[kind] <= at[:, np.newaxis])
    points = [
        RatePoint(rounded(float(threshold)), rounded(share.value), (rounded(share.ci95[0]), rounded(share.ci95[1])))
        for threshold, share in zip(at, shares, strict=True)
    ]
    searchers = len(np.unique(searches.person[kind]))
    return SearchTail(searches.people, searches.photos, searchers, int(kind.sum()), tuple(points))


def shares_of(
    searches: Searches, kind: NDArray[np.bool_], hits: NDArray[np.bool_], evidence: float = 1.0
) -> list[Estimate]:
    """The shares of the searches of this kind that rows of `hits` count, (rows, searches of the kind).

    Intervals over people and galleries: what one person's searches in many galleries say is one trial. `evidence`: see
    `rate_interval`.
    """
    people, index = np.unique(searches.person[kind], return_inverse=True)
    gallery = searches.gallery[kind]
    drawn = drawn_people(len(people))[:, index] * drawn_people(int(gallery.max()) + 1, seed=1)[:, gallery]
    resampled = hits.astype(np.float32) @ drawn.T.astype(np.float32) / drawn.sum(axis=1)
    shares = []
    for hit, rates in zip(hits, resampled, strict=True):
        each = np.bincount(index, hit) / np.bincount(index)
        errors, trials = round(float(each.sum())), len(people)
        interval = rate_interval(errors, trials, rates.astype(np.float64), np.ones(trials), trials, evidence)
        shares.append(Estimate(float(hit.mean()), interval))
    return shares


def _near_ranks(count: int) -> Indices:
    """Ranks that grow by a fifth, up to all: about fifty, close together where few searches come under a distance."""
    ranks = np.round(1.2 ** np.arange(0, np.log(count) / np.log(1.2))).astype(np.int64)
    return np.unique(np.append(ranks, count))


def _far_ranks(count: int) -> Indices:
    """The same from the other end: close together where few searches do not come under a distance."""
    return np.append(np.unique(count - _near_ranks(count))[1:], count)


def margin_of(usual: Searches, nonmated: SearchTail) -> float:
    """So far behind the best another person must lie that few searches by enrolled people name another one."""
    within = [point.distance for point in nonmated.points if point.rate <= _PREFERRED_FPIR]
    threshold = within[-1] if within else nonmated.points[0].distance
    least, mated = _MARGIN * threshold, usual.mated
    if not mated.any():
        return round(least, 6)
    own, other, second = usual.own[mated], usual.other[mated], usual.second[mated]
    # How far the wrong name is ahead of everybody; nothing where it is over the threshold or not the best.
    ahead = np.where(other <= threshold, np.maximum(np.minimum(own, second) - other, 0), 0)
    return round(max(least, float(np.quantile(ahead, 1 - _WRONG_NAMES))), 6)
