"""A bundle measured on people: distances of all pairs to error rates with intervals; writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model import metrics
from model.data import Dataset, Indices
from model.embedder import Embedder, distances
from model.manifest import Calibration, DataSource, Manifest, contract_id
from model.metrics import Scores
from model.pairs import Pairs, all_pairs
from model.people import DataError
from model.rates import Rates

_PAIRS_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Estimate:
    value: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class RatesAtThreshold:
    """What a threshold of the bundle gives on these people: `level` is the FMR that it was chosen for."""

    level: float
    threshold: float
    fmr: Estimate
    fnmr: Estimate


@dataclass(frozen=True)
class Evaluation:
    """One bundle on one set of people, each figure with its 95 % interval."""

    bundle: str
    version: str
    contract_id: str
    data: DataSource
    seen_people_left_out: int
    people_that_chose_thresholds: int
    skipped_pictures: int
    genuine_pairs: int
    impostor_pairs: int
    auc: Estimate
    eer: Estimate
    best_accuracy: Estimate
    best_accuracy_threshold: float
    rates: tuple[RatesAtThreshold, ...]


def unseen_by(manifests: Sequence[Manifest], people: Mapping[str, str]) -> list[str]:
    """Names of people, of those with these fingerprints, that the bundles were not trained on.

    Those who chose thresholds are left out as well, where others remain. Raises DataError where nobody is left.
    """
    trained = {person for each in manifests for person in each.training.data.people}
    chose = {person for each in manifests if each.calibration for person in each.calibration.data.people}
    unseen = [name for name, fingerprint in people.items() if fingerprint not in trained]
    if len(unseen) < 2:
        raise DataError(f"all but {len(unseen)} of these {len(people)} people were in training, nobody to compare")
    others = [name for name in unseen if people[name] not in chose]
    return others if len(others) > 1 else unseen


def score(embeddings: NDArray[np.float32], labels: Indices, pairs: Pairs) -> Scores:
    """The distances of the pairs, with the people (labels) of each."""
    parts = [slice(start, start + _PAIRS_AT_ONCE) for start in range(0, len(pairs), _PAIRS_AT_ONCE)]
    found = [distances(embeddings[pairs.first[part]], embeddings[pairs.second[part]]) for part in parts]
    return Scores(np.concatenate(found), pairs.genuine, labels[pairs.first], labels[pairs.second])


def score_all_pairs(embedder: Embedder, dataset: Dataset) -> Scores:
    """Every two pictures of the data set compared. Raises DataError where one kind of pair is missing."""
    scores = score(embedder.embed(dataset.crops), dataset.labels, all_pairs(dataset.labels))
    if scores.genuine.all() or not scores.genuine.any():
        raise DataError(f"{dataset.name}: measuring needs two people, and a person with two pictures")
    return scores


def evaluate(manifest: Manifest, dataset: Dataset, scores: Scores, left_out: int = 0) -> Evaluation:
    """All figures of the scores that `score_all_pairs` gave for this data set."""
    rates = metrics.curve(scores)
    best = metrics.best_accuracy(scores)
    resampled = metrics.bootstrap(scores, lambda c: np.array([c.auc, c.eer]))
    calibration = manifest.calibration
    return Evaluation(
        bundle=manifest.name,
        version=manifest.version,
        contract_id=contract_id(manifest),
        data=dataset.source,
        seen_people_left_out=left_out,
        people_that_chose_thresholds=_shared_people(dataset, calibration),
        skipped_pictures=len(dataset.skipped),
        genuine_pairs=len(scores.genuine_distances),
        impostor_pairs=len(scores.impostor_distances),
        auc=Estimate(rates.auc, metrics.percentile_interval(resampled[:, 0])),
        eer=Estimate(rates.eer, metrics.percentile_interval(resampled[:, 1])),
        best_accuracy=Estimate(best[0], _accuracy_interval(scores)),
        best_accuracy_threshold=best[1],
        rates=_rates(scores, calibration),
    )


def _shared_people(dataset: Dataset, calibration: Calibration | None) -> int:
    return len(set(dataset.fingerprints) & set(calibration.data.people)) if calibration else 0


def _accuracy_interval(scores: Scores) -> tuple[float, float]:
    genuine = scores.genuine.mean()
    resampled = metrics.bootstrap(scores, lambda c: float(np.max((1 - c.fmr) * (1 - genuine) + (1 - c.fnmr) * genuine)))
    return metrics.percentile_interval(resampled)


def _rates(scores: Scores, calibration: Calibration | None) -> tuple[RatesAtThreshold, ...]:
    levels = calibration.levels if calibration else ()
    points = [level.operating_point for level in levels if level.operating_point]
    if not points:
        return ()
    rate = Rates(scores, np.array([point.threshold for point in points]))
    return tuple(
        RatesAtThreshold(
            point.fmr,
            point.threshold,
            Estimate(float(rate.fmr[i]), rate.fmr_ci95(i)),
            Estimate(float(rate.fnmr[i]), rate.fnmr_ci95(i)),
        )
        for i, point in enumerate(points)
    )
