"""Computes FMR and FNMR of scores at given thresholds, each with 95 % intervals. It chooses no threshold."""

import numpy as np
from scipy import sparse

from model.error_rates import intervals
from model.error_rates.scores import Floats, Scores, curve
from model.manifest import GenuinePoint, TailPoint

_INTERVAL_DIGITS = 3


class RatesAtThresholds:
    """Rates of shape (thresholds,), in the order of the thresholds.

    Points, which a calibration records, have prediction intervals: of the rate that as many other people will show.
    """

    def __init__(self, scores: Scores, thresholds: Floats) -> None:
        self.thresholds = thresholds
        self.fmr, self.fnmr = curve(scores).at(thresholds)
        self._impostors = len(scores.impostor_distances)
        self._genuine = len(scores.genuine_distances)
        self._weights = pairs_by_person(scores)
        order = np.argsort(thresholds)
        self._fmr, self._fnmr = np.empty((2, intervals.RESAMPLES, len(thresholds)))
        self._fmr[:, order], self._fnmr[:, order] = resampled_rates(scores, thresholds[order])

    def impostor_points(self) -> list[TailPoint]:
        points = enumerate(zip(self.thresholds.tolist(), self.fmr.tolist(), strict=True))
        return [TailPoint(distance, rounded(fmr), self.fmr_of_others(index)) for index, (distance, fmr) in points]

    def genuine_points(self) -> list[GenuinePoint]:
        points = enumerate(zip(self.thresholds.tolist(), self.fnmr.tolist(), strict=True))
        return [GenuinePoint(distance, rounded(fnmr), self.fnmr_of_others(index)) for index, (distance, fnmr) in points]

    def fmr_ci95(self, index: int) -> tuple[float, float]:
        """The confidence interval of the FMR of all such people."""
        return self._fmr_interval(index, evidence=1.0)

    def fnmr_ci95(self, index: int) -> tuple[float, float]:
        """The confidence interval of the FNMR of all such people."""
        return self._fnmr_interval(index, evidence=1.0)

    def fmr_of_others(self, index: int) -> tuple[float, float]:
        """The prediction interval of the FMR that as many other people will show."""
        return self._fmr_interval(index, intervals.OF_AS_MANY_OTHERS)

    def fnmr_of_others(self, index: int) -> tuple[float, float]:
        """The prediction interval of the FNMR that as many other people will show."""
        return self._fnmr_interval(index, intervals.OF_AS_MANY_OTHERS)

    def _fmr_interval(self, index: int, evidence: float) -> tuple[float, float]:
        weights = self._weights[0]
        independent = intervals.pairs_of(intervals.effective_number(weights))
        return _interval(self.fmr[index], self._impostors, self._fmr[:, index], weights, independent, evidence)

    def _fnmr_interval(self, index: int, evidence: float) -> tuple[float, float]:
        weights = self._weights[1]
        independent = intervals.effective_number(weights)
        return _interval(self.fnmr[index], self._genuine, self._fnmr[:, index], weights, independent, evidence)


def _interval(
    rate: float, trials: int, resampled: Floats, weights: Floats, independent: float, evidence: float
) -> tuple[float, float]:
    if trials == 0:
        return 0.0, 1.0
    low, high = intervals.rate_interval(round(rate * trials), trials, resampled, weights, independent, evidence)
    return rounded(low), rounded(high)


def pairs_by_person(scores: Scores) -> Floats:
    """Impostor pairs, counted at both of their people, and genuine pairs of each person: (2, people)."""
    _, numbers = np.unique(np.concatenate([scores.first, scores.second]), return_inverse=True)
    first, second = np.split(numbers, 2)
    impostor = np.bincount(np.concatenate([first[~scores.genuine], second[~scores.genuine]]), minlength=scores.people)
    return np.stack([impostor, np.bincount(first[scores.genuine], minlength=scores.people)]).astype(np.float64)


def resampled_rates(scores: Scores, thresholds: Floats) -> tuple[Floats, Floats]:
    """FMR and FNMR at rising thresholds, each (resamples, thresholds), when people are drawn anew.

    What `intervals.bootstrap` gives, from counts of each two people's pairs between thresholds instead of every pair:
    the time no longer grows with resamples times pairs. A rate without pairs in a resample is nan.
    """
    people, numbers = np.unique(np.concatenate([scores.first, scores.second]), return_inverse=True)
    first, second = np.split(numbers, 2)
    drawn = intervals.drawn_people(len(people)).T
    bins = np.searchsorted(thresholds, scores.distance)  # accepted from the threshold of this number on
    weights = np.zeros((2, len(thresholds) + 1, intervals.RESAMPLES))
    for kind, of_kind in enumerate((~scores.genuine, scores.genuine)):
        order = np.flatnonzero(of_kind)[np.argsort(bins[of_kind], kind="stable")]
        starts = np.searchsorted(bins[order], np.arange(1, len(thresholds) + 1))
        for number, pairs in enumerate(np.split(order, starts)):
            counts = sparse.csr_array((np.ones(len(pairs)), (first[pairs], second[pairs])), (len(people),) * 2)
            # A genuine pair counts as often as its person was drawn, an impostor pair as often as both together.
            both = np.asarray(counts @ (drawn > 0 if kind else drawn)) * drawn
            weights[kind, number] = both.sum(axis=0)
    accepted = weights.cumsum(axis=1)
    with np.errstate(invalid="ignore"):
        fmr, accepted_genuine = accepted[:, :-1] / accepted[:, -1:]
    return fmr.T, 1 - accepted_genuine.T


def rounded(rate: float) -> float:
    return float(f"{rate:.{_INTERVAL_DIGITS}g}")
