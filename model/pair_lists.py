"""Lists of pairs in the format of Labeled Faces in the Wild, and what its protocol asks for; writes nothing.

Huang et al., "Labeled Faces in the Wild" (2007); https://vis-www.cs.umass.edu/lfw/README.txt describes the lists.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from model import intervals, metrics
from model.data import Dataset
from model.embedder import distances
from model.intervals import Estimate
from model.metrics import Scores
from model.people import DataError

Picture: TypeAlias = tuple[str, int]
"""A person's name and the number of the picture: NAME/NAME_0001.jpg."""

_FOLDS = 10
FMR_LEVELS = (1e-1, 1e-2, 1e-3)


@dataclass(frozen=True)
class PairList:
    """Pairs in the list's order: two pictures each, whether they show one person, and the fold (pairs,)."""

    first: tuple[Picture, ...]
    second: tuple[Picture, ...]
    genuine: NDArray[np.bool_]
    fold: NDArray[np.int64]

    @property
    def pictures(self) -> list[Picture]:
        return sorted({*self.first, *self.second})


def read(path: Path) -> PairList:
    """The first line says how many folds (none: one) of how many genuine and as many impostor pairs; one fold is
    dealt into ten. Raises DataError where the file is not such a list.
    """
    try:
        head, *rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        *folds, count = [int(number) for number in head]
        genuine = np.array([_is_genuine(row) for row in rows])
        pairs = [_pair(row) for row in rows]
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a list of pairs in LFW's format") from error
    sets = folds[0] if folds else 1
    if len(rows) != 2 * count * sets or genuine.sum() * 2 != len(rows):
        raise DataError(
            f"{path}: {len(rows)} pairs, of which {genuine.sum()} genuine, are not what its first line says"
        )
    fold = np.repeat(np.arange(sets), 2 * count) if sets > 1 else np.arange(len(rows)) % _FOLDS
    return PairList(tuple(first for first, _ in pairs), tuple(second for _, second in pairs), genuine, fold)


def _is_genuine(row: list[str]) -> bool:
    if len(row) not in (3, 4):
        raise ValueError("neither NAME I J nor NAME I NAME J")
    return len(row) == 3


def _pair(row: list[str]) -> tuple[Picture, Picture]:
    return ((row[0], int(row[1])), (row[-2] if len(row) == 4 else row[0], int(row[-1])))


@dataclass(frozen=True)
class PairListFigures:
    """A bundle on one list. Pairs that lack a face are never called same: they count as different in every figure."""

    genuine_pairs: int
    impostor_pairs: int
    pictures: int
    pictures_without_face: int
    accuracy: float
    standard_error: float
    eer: Estimate
    fnmr_at: dict[float, Estimate]


def score(dataset: Dataset, embeddings: NDArray[np.float32], pairs: PairList) -> Scores:
    """The distances of the list's pairs; infinite where a picture is not in the data set."""
    rows = {Path(file).stem: row for row, file in enumerate(dataset.files)}
    first, second = (np.array([rows.get(stem(p), -1) for p in part]) for part in (pairs.first, pairs.second))
    distance = np.where((first < 0) | (second < 0), np.inf, distances(embeddings[first], embeddings[second]))
    names = {name: number for number, name in enumerate(sorted({name for name, _ in pairs.pictures}))}
    people = (np.array([names[name] for name, _ in part]) for part in (pairs.first, pairs.second))
    return Scores(distance, pairs.genuine, *people)


def stem(picture: Picture) -> str:
    return f"{picture[0]}_{picture[1]:04d}"


def figures(dataset: Dataset, pairs: PairList, scores: Scores, chosen_on: Scores | None = None) -> PairListFigures:
    """The protocol's figures: the threshold of the accuracy comes from `chosen_on`, or from the other folds."""
    if chosen_on is None:
        accuracy, error = accuracy_of_folds(scores.distance, scores.genuine, pairs.fold)
    else:
        accuracy = metrics.accuracy(scores, best_threshold(chosen_on.distance, chosen_on.genuine))
        error = float(np.sqrt(accuracy * (1 - accuracy) / len(scores.distance)))
    measured = _rates(metrics.curve(scores))
    resampled = intervals.bootstrap(scores, _rates)
    eer, *fnmr = (
        Estimate(float(v), intervals.percentile_interval(r)) for v, r in zip(measured, resampled.T, strict=True)
    )
    there = {Path(file).stem for file in dataset.files}
    return PairListFigures(
        genuine_pairs=len(scores.genuine_distances),
        impostor_pairs=len(scores.impostor_distances),
        pictures=len(pairs.pictures),
        pictures_without_face=sum(stem(picture) not in there for picture in pairs.pictures),
        accuracy=accuracy,
        standard_error=error,
        eer=eer,
        fnmr_at=dict(zip(FMR_LEVELS, fnmr, strict=True)),
    )


def _rates(rates: metrics.Curve) -> NDArray[np.float64]:
    """EER, then FNMR at each level."""
    return np.array([rates.eer, *(rates.fnmr_at(fmr) for fmr in FMR_LEVELS)])


def accuracy_of_folds(
    distance: NDArray[np.float64], genuine: NDArray[np.bool_], fold: NDArray[np.int64]
) -> tuple[float, float]:
    """(mean, standard error) over folds, each judged at the threshold that is best for all the others."""
    found = []
    for number in np.unique(fold):
        inside = fold == number
        threshold = best_threshold(distance[~inside], genuine[~inside])
        found.append(np.mean((distance[inside] <= threshold) == genuine[inside]))
    return float(np.mean(found)), float(np.std(found, ddof=1) / np.sqrt(len(found)))


def best_threshold(distance: NDArray[np.float64], genuine: NDArray[np.bool_]) -> float:
    """The threshold that judges most of these pairs rightly; midway between two distances, the middle one of ties."""
    order = np.argsort(distance, kind="stable")
    ordered, right = distance[order], np.where(genuine[order], 1, -1).cumsum()
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    best = last[np.flatnonzero(right[last] == right[last].max())]
    chosen = best[len(best) // 2]
    following = ordered[chosen + 1] if chosen + 1 < len(ordered) else ordered[chosen]
    return float(ordered[chosen] + following) / 2 if np.isfinite(following) else float(ordered[chosen])
