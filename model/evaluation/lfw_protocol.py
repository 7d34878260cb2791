"""Computes the figures of the protocol of Labeled Faces in the Wild for the pairs of a list. It reads no file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.data.dataset import Dataset
from model.data.lfw_lists import PairList, stem
from model.embedding.embedder import distances
from model.error_rates import intervals
from model.error_rates.intervals import Estimate
from model.error_rates.sample_size import estimate, people_with_genuine_pairs, reaches
from model.error_rates.scores import Curve, Scores, accuracy, curve
from model.manifest import DataSource, Manifest

FMR_LEVELS = (1e-1, 1e-2, 1e-3)


@dataclass(frozen=True)
class PairListFigures:
    """A bundle on one list. Pairs that lack a face are never called same: they count as different in every figure.

    `data`: the people of the list, as far as any face of theirs was found, with all their pictures that were; `people`
    are all whom the list names. FNMRs are at the levels that so many impostor pairs reach.
    """

    data: DataSource
    people: int
    people_in_training: int
    people_that_chose_thresholds: int
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
    return scores(np.where((first < 0) | (second < 0), np.inf, distances(embeddings[first], embeddings[second])), pairs)


def scores(distance: NDArray[np.float64], pairs: PairList) -> Scores:
    """The distances of the list's pairs, with their people."""
    names = {name: number for number, name in enumerate(sorted({name for name, _ in pairs.pictures}))}
    people = (np.array([names[name] for name, _ in part]) for part in (pairs.first, pairs.second))
    return Scores(distance, pairs.genuine, *people)


def figures(
    manifest: Manifest, dataset: Dataset, pairs: PairList, scores: Scores, chosen_on: Scores | None = None
) -> PairListFigures:
    """The protocol's figures: the threshold of the accuracy comes from `chosen_on`, or from the other folds."""
    if chosen_on is None:
        share, error = accuracy_of_folds(scores.distance, scores.genuine, pairs.fold)
    else:
        share = accuracy(scores, best_threshold(chosen_on.distance, chosen_on.genuine))
        error = float(np.sqrt(share * (1 - share) / len(scores.distance)))
    measured, people = _rates(curve(scores)), people_with_genuine_pairs(scores)
    resampled = intervals.bootstrap(scores, _rates)
    eer, *fnmr = (estimate(value, values, people) for value, values in zip(measured, resampled.T, strict=True))
    there, impostors = {Path(file).stem for file in dataset.files}, len(scores.impostor_distances)
    names = {name for name, _ in pairs.pictures}
    listed = dataset.of([number for number, name in enumerate(dataset.people) if name in names])
    calibration = manifest.calibration
    return PairListFigures(
        data=listed.source,
        people=len(names),
        people_in_training=listed.known_to(manifest.training.seen),
        people_that_chose_thresholds=listed.known_to(calibration.data.digests) if calibration else 0,
        genuine_pairs=len(scores.genuine_distances),
        impostor_pairs=impostors,
        pictures=len(pairs.pictures),
        pictures_without_face=sum(stem(picture) not in there for picture in pairs.pictures),
        accuracy=share,
        standard_error=error,
        eer=eer,
        fnmr_at={fmr: rate for fmr, rate in zip(FMR_LEVELS, fnmr, strict=True) if reaches(fmr, impostors)},
    )


def _rates(rates: Curve) -> NDArray[np.float64]:
    """EER, then FNMR at each level."""
    return np.array([rates.eer, *(rates.fnmr_at(fmr) for fmr in FMR_LEVELS)])


def accuracy_of_folds(
    distance: NDArray[np.float64], genuine: NDArray[np.bool_], fold: NDArray[np.int64]
) -> tuple[float, float]:
    """(mean, standard error) over folds, each judged at the threshold that is best for all the others."""
    accuracies = []
    for number in np.unique(fold):
        inside = fold == number
        threshold = best_threshold(distance[~inside], genuine[~inside])
        accuracies.append(np.mean((distance[inside] <= threshold) == genuine[inside]))
    return float(np.mean(accuracies)), float(np.std(accuracies, ddof=1) / np.sqrt(len(accuracies)))


def best_threshold(distance: NDArray[np.float64], genuine: NDArray[np.bool_]) -> float:
    """The threshold that judges most of these pairs rightly; midway between two distances, the middle one of ties."""
    order = np.argsort(distance, kind="stable")
    ordered, right = distance[order], np.where(genuine[order], 1, -1).cumsum()
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    best = last[np.flatnonzero(right[last] == right[last].max())]
    chosen = best[len(best) // 2]
    following = ordered[chosen + 1] if chosen + 1 < len(ordered) else ordered[chosen]
    return float(ordered[chosen] + following) / 2 if np.isfinite(following) else float(ordered[chosen])
