"""Measures a bundle on people: turns distances of all pairs into error rates with intervals. It writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.data.dataset import Dataset
from model.error_rates import intervals
from model.error_rates.at_thresholds import RatesAtThresholds
from model.error_rates.intervals import Estimate
from model.error_rates.sample_size import estimate, pairs_inside, people_with_genuine_pairs, reaches
from model.error_rates.scores import Curve, Scores, best_accuracy, curve
from model.evaluation.acquisition import Acquisition, acquisition
from model.evaluation.breakdown import (
    GroupRates,
    PersonErrors,
    by_group,
    fnmr_by_person,
    taken_for_others_most,
    told_apart_most,
)
from model.manifest import Calibration, DataSource, Manifest, contract_id

FMR_GRID = tuple(float(f"{10**exponent:.3g}") for exponent in np.arange(-24, 0) / 4)
"""1e-6 to 0.56, four a decade: where bands are drawn and FNMR is told."""


@dataclass(frozen=True)
class RatesAtThreshold:
    """What a threshold of the bundle gives on these people: `level` is the FMR that it was chosen for."""

    level: float
    threshold: float
    fmr: Estimate
    fnmr: Estimate


@dataclass(frozen=True)
class FnmrAt:
    """FNMR at the threshold that gives this FMR on these very people; `errors` genuine pairs are rejected there."""

    fmr: float
    fnmr: Estimate
    errors: int


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
    fnmr_at: tuple[FnmrAt, ...]  # rising FMR
    acquisition: Acquisition
    fnmr_by_person: Estimate  # mean over people; at the default level's threshold, as are the following
    told_apart_most: tuple[PersonErrors, ...]
    taken_for_others_most: tuple[PersonErrors, ...]
    groups: tuple[GroupRates, ...] = ()
    group_pairs: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # impostor, genuine


def evaluate(
    manifest: Manifest, dataset: Dataset, scores: Scores, left_out: int = 0, groups: Mapping[str, str] | None = None
) -> Evaluation:
    """All figures of the scores that `score_all_pairs` gave for this data set; `groups`: people's names to groups."""
    rates = curve(scores)
    genuine = scores.genuine.mean()
    resampled = intervals.bootstrap(scores, lambda c: _statistics(c, genuine))
    figures = [
        estimate(value, values, people_with_genuine_pairs(scores))
        for value, values in zip(_statistics(rates, genuine), resampled.T, strict=True)
    ]
    calibration, people, acquired = manifest.calibration, dataset.people, acquisition(dataset)
    threshold = _threshold(calibration, rates)
    return Evaluation(
        bundle=manifest.name,
        version=manifest.version,
        contract_id=contract_id(manifest),
        data=dataset.source,
        seen_people_left_out=left_out,
        people_that_chose_thresholds=_shared_people(dataset, calibration),
        skipped_pictures=acquired.failures,
        genuine_pairs=len(scores.genuine_distances),
        impostor_pairs=len(scores.impostor_distances),
        auc=figures[0],
        eer=figures[1],
        best_accuracy=figures[2],
        best_accuracy_threshold=best_accuracy(scores)[1],
        rates=_rates(scores, calibration),
        fnmr_at=_fnmr_at(figures[3:], scores),
        acquisition=acquired,
        fnmr_by_person=fnmr_by_person(scores, people, threshold),
        told_apart_most=told_apart_most(scores, people, threshold),
        taken_for_others_most=taken_for_others_most(scores, people, threshold),
        groups=by_group(scores, people, groups, threshold, calibration.default_fmr) if groups and calibration else (),
        group_pairs=pairs_inside(scores, people, groups or {}),
    )


def _statistics(rates: Curve, genuine: float) -> NDArray[np.float64]:
    """ROC AUC, EER, best accuracy where this share of pairs is genuine, then FNMR at each of FMR_GRID."""
    right = (1 - rates.fmr) * (1 - genuine) + (1 - rates.fnmr) * genuine
    return np.array([rates.auc, rates.eer, right.max(), *(rates.fnmr_at(fmr) for fmr in FMR_GRID)])


def _threshold(calibration: Calibration | None, rates: Curve) -> float:
    """The default level's threshold; for a bundle that was never calibrated, that of the equal error rate."""
    if calibration:
        return calibration.operating_points[calibration.default_fmr].threshold
    return float(rates.thresholds[np.argmin(np.abs(rates.fmr - rates.fnmr))])


def _fnmr_at(figures: Sequence[Estimate], scores: Scores) -> tuple[FnmrAt, ...]:
    genuine, impostor = len(scores.genuine_distances), len(scores.impostor_distances)
    return tuple(
        FnmrAt(fmr, figure, round(figure.value * genuine))
        for fmr, figure in zip(FMR_GRID, figures, strict=True)
        if reaches(fmr, impostor)
    )


def _shared_people(dataset: Dataset, calibration: Calibration | None) -> int:
    return dataset.known_to(calibration.data.digests) if calibration else 0


def _rates(scores: Scores, calibration: Calibration | None) -> tuple[RatesAtThreshold, ...]:
    if calibration is None:
        return ()
    points = calibration.operating_points.values()
    rate = RatesAtThresholds(scores, np.array([point.threshold for point in points]))
    return tuple(
        RatesAtThreshold(
            point.fmr,
            point.threshold,
            Estimate(float(rate.fmr[i]), rate.fmr_ci95(i)),
            Estimate(float(rate.fnmr[i]), rate.fnmr_ci95(i)),
        )
        for i, point in enumerate(points)
    )
