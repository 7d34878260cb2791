"""Computes error rates of labelled distances, in the terms of ISO/IEC 19795-1. It knows no bundle and no picture.

FMR is the share of impostor pairs accepted (distance <= threshold), FNMR the share of genuine pairs rejected.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
People: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """Distances of pairs: whether each is genuine, and the two people of it (equal where genuine). All (pairs,)."""

    distance: Floats
    genuine: NDArray[np.bool_]
    first: People
    second: People

    @cached_property
    def ascending(self) -> "Scores":
        order = np.argsort(self.distance, kind="stable")
        return Scores(self.distance[order], self.genuine[order], self.first[order], self.second[order])

    @property
    def genuine_distances(self) -> Floats:
        return self.distance[self.genuine]

    @property
    def impostor_distances(self) -> Floats:
        return self.distance[~self.genuine]

    @cached_property
    def people(self) -> int:
        return len(np.union1d(self.first, self.second))


@dataclass(frozen=True)
class Curve:
    """FMR rising and FNMR falling over every distinct distance as threshold; the first accepts nothing."""

    thresholds: Floats
    fmr: Floats
    fnmr: Floats

    @property
    def auc(self) -> float:
        """Area under the ROC: the chance that a genuine pair is closer than an impostor pair, ties for half."""
        return float(np.trapezoid(1 - self.fnmr, self.fmr))

    @property
    def eer(self) -> float:
        """Equal error rate: the mean of FMR and FNMR where they lie closest together."""
        nearest = np.argmin(np.abs(self.fmr - self.fnmr))
        return float(self.fmr[nearest] + self.fnmr[nearest]) / 2

    def fnmr_at(self, fmr: float) -> float:
        """FNMR at the largest threshold that accepts no more than this share of impostor pairs."""
        return float(self.fnmr[np.searchsorted(self.fmr, fmr, side="right") - 1])

    def at(self, thresholds: Floats) -> tuple[Floats, Floats]:
        """(FMR, FNMR) at each threshold."""
        index = np.searchsorted(self.thresholds, thresholds, side="right") - 1
        return self.fmr[index], self.fnmr[index]


def curve(scores: Scores, weights: Floats | None = None) -> Curve:
    """The error rates of the scores, each pair counted `weights` times (once by default).

    Where there is no genuine pair, the FNMR is 1 throughout.
    """
    ordered = scores.ascending
    weight = np.ones(len(ordered.distance)) if weights is None else weights
    last = np.append(np.flatnonzero(ordered.distance[1:] != ordered.distance[:-1]), len(weight) - 1)
    impostor = np.cumsum(np.where(ordered.genuine, 0, weight))
    genuine = np.cumsum(np.where(ordered.genuine, weight, 0))
    return Curve(
        np.append(-np.inf, ordered.distance[last]),
        np.append(0, impostor[last] / impostor[-1]),
        np.append(1, 1 - genuine[last] / (genuine[-1] or 1)),
    )


def accuracy(scores: Scores, threshold: float) -> float:
    """The share of all pairs that are judged correctly."""
    return float(np.mean((scores.distance <= threshold) == scores.genuine))


def precision(scores: Scores, threshold: float) -> float:
    """Share of genuine pairs among those accepted; 0 where none is."""
    accepted = scores.genuine[scores.distance <= threshold]
    return float(accepted.mean()) if len(accepted) else 0.0


def best_accuracy(scores: Scores) -> tuple[float, float]:
    """(accuracy, threshold) of the threshold that judges the most of these pairs rightly."""
    rates, genuine = curve(scores), scores.genuine.mean()
    right = (1 - rates.fmr) * (1 - genuine) + (1 - rates.fnmr) * genuine
    best = int(np.argmax(right))
    return float(right[best]), float(rates.thresholds[best])
