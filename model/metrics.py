"""Error rates of labelled distances and how sure they are; terms of ISO/IEC 19795-1. Knows no bundle, no picture.

FMR: share of impostor pairs accepted (distance <= threshold). FNMR: share of genuine pairs rejected.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Floats: TypeAlias = NDArray[np.float64]
People: TypeAlias = NDArray[np.int64]
RESAMPLES = 1000


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
    """Share of all pairs judged rightly."""
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


def bootstrap(scores: Scores, statistic: Callable[[Curve], Floats | float], seed: int = 0) -> Floats:
    """The statistic of the curve under 1,000 resamplings of people, shape (resamples, ...).

    People, not pairs, are drawn with replacement, since pairs that share a person are not independent: a genuine
    pair counts as often as its person was drawn, an impostor pair as often as both together.
    Source: Bolle, Ratha, Pankanti, "Error analysis of pattern recognition systems - the subsets bootstrap" (2004).
    """
    rng = np.random.default_rng(seed)
    ordered = scores.ascending
    _, both = np.unique(np.concatenate([ordered.first, ordered.second]), return_inverse=True)
    first, second = np.split(both, 2)
    values: list[Floats | float] = []
    while len(values) < RESAMPLES:
        drawn = rng.multinomial(scores.people, np.full(scores.people, 1 / scores.people)).astype(np.float64)
        weights = np.where(ordered.genuine, drawn[first], drawn[first] * drawn[second])
        if all(weights[kind].any() for kind in (ordered.genuine, ~ordered.genuine) if kind.any()):
            values.append(statistic(curve(scores, weights)))
    return np.asarray(values)


def drawn_people(people: int, seed: int = 0) -> Floats:
    """How often each person is drawn in each resample, (resamples, people): the draws of `bootstrap`."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(people, np.full(people, 1 / people), RESAMPLES).astype(np.float64)


def percentile_interval(resampled: Floats) -> tuple[float, float]:
    """The middle 95 % of resampled values; those that are nan are left out."""
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return float(low), float(high)


def rate_interval(errors: int, trials: int, resampled: Floats, people: int) -> tuple[float, float]:
    """95 % interval of an error rate: the wider, at each end, of exact binomial and bootstrap over people.

    The bootstrap gives the standard error; the interval is Student's on the logit scale, with as many degrees of
    freedom as people but one. Its percentiles alone hold rare rates too seldom (`scripts/coverage.py`).
    """
    exact = stats.binomtest(errors, trials).proportion_ci(method="exact")
    rate = min(max(errors, 0.5), trials - 0.5) / trials
    error = float(np.nanstd(resampled)) / (rate * (1 - rate))
    reach = float(stats.t.ppf(0.975, max(people - 1, 1))) * error if error else 0.0
    low, high = (float(special.expit(special.logit(rate) + end)) for end in (-reach, reach))
    return min(float(exact.low), low), max(float(exact.high), high)
