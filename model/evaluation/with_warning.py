"""Measures what thresholds give for pictures that bear a warning. It chooses no threshold."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from model.data.dataset import Dataset
from model.data.pairs import Pairs
from model.domain import is_out_of_domain
from model.error_rates.at_thresholds import RatesAtThresholds, rounded
from model.error_rates.sample_size import too_few_people
from model.error_rates.scores import Scores
from model.faces.face import FaceWarning
from model.manifest import Calibration, Domain, Level, OperatingPoint

MEASURED = (FaceWarning.HEAD_TURNED, FaceWarning.OUT_OF_DOMAIN, FaceWarning.SMALL_FACE, FaceWarning.BLURRED)
"""Warnings that say that error rates may be higher."""


def with_warnings(
    calibration: Calibration, dataset: Dataset, embeddings: NDArray[np.float32], pairs: Pairs, scores: Scores
) -> Calibration:
    """Adds to each level the rates of the pairs of which a picture at least bears a warning, at the same threshold.

    A level is measured where those who have such a picture are as many as any calibration at that level needs, and
    have a genuine pair. `scores` are those of `pairs`.
    """
    levels = calibration.levels
    for warning in MEASURED:
        bears = _bears(warning, dataset, embeddings, calibration.domain)
        people, chosen = len(np.unique(dataset.labels[bears])), bears[pairs.first] | bears[pairs.second]
        own = Scores(scores.distance[chosen], scores.genuine[chosen], scores.first[chosen], scores.second[chosen])
        if own.genuine.any() and not own.genuine.all():
            levels = tuple(_measured(levels, own, people, warning))
    return msgspec.structs.replace(calibration, levels=levels)


def _bears(
    warning: FaceWarning, dataset: Dataset, embeddings: NDArray[np.float32], domain: Domain | None
) -> NDArray[np.bool_]:
    if warning is not FaceWarning.OUT_OF_DOMAIN:
        return np.array([warning in warnings for warnings in dataset.warnings])
    if domain is None:
        return np.zeros(len(embeddings), np.bool_)
    return np.array(
        [
            is_out_of_domain(domain, quality, embedding)
            for quality, embedding in zip(dataset.qualities, embeddings, strict=True)
        ]
    )


def _measured(levels: Sequence[Level], own: Scores, people: int, warning: FaceWarning) -> list[Level]:
    supported = [
        (level, level.operating_point)
        for level in levels
        if level.operating_point and not _too_few(own, people, level.fmr)
    ]
    rates = RatesAtThresholds(own, np.array([point.threshold for _, point in supported])) if supported else None
    measured = {
        level.fmr: _point(point, rates, index, own, people, warning)
        for index, (level, point) in enumerate(supported)
        if rates
    }
    return [
        msgspec.structs.replace(level, with_warning=(*level.with_warning, measured[level.fmr]))
        if level.fmr in measured
        else level
        for level in levels
    ]


def _too_few(own: Scores, people: int, fmr: float) -> bool:
    return len(own.impostor_distances) < round(3 / fmr) or too_few_people(people, fmr) is not None


def _point(
    point: OperatingPoint, rates: RatesAtThresholds, index: int, own: Scores, people: int, warning: FaceWarning
) -> OperatingPoint:
    return msgspec.structs.replace(
        point,
        fmr_ci95=rates.fmr_of_others(index),
        fnmr=rounded(float(rates.fnmr[index])),
        fnmr_ci95=rates.fnmr_of_others(index),
        impostor_pairs=len(own.impostor_distances),
        genuine_pairs=len(own.genuine_distances),
        people=people,
        measured_on=warning.value,
        measured_fmr=rounded(float(rates.fmr[index])),
    )
