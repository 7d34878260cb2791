"""Distances of people that training never saw to operating points; chooses thresholds, applies none."""

from collections.abc import Sequence

import numpy as np

from model import metrics
from model.data import DataError
from model.manifest import Calibration, DataSource, Level, OperatingPoint, TailPoint
from model.metrics import Floats, Scores

LEVELS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
PREFERRED_LEVEL = 1e-3
_INTERVAL_DIGITS = 3


def calibrate(scores: Scores, data: DataSource, levels: Sequence[float] = LEVELS) -> Calibration:
    """Operating points at these false match rates, and the tail of the impostor distances.

    The default level is 1e-3, or the finest coarser one that the data supports.
    Raises DataError where they support none, or there are no genuine pairs.
    """
    impostors = scores.impostor_distances
    if len(impostors) == 0 or len(scores.genuine_distances) == 0:
        raise DataError("calibration needs two people or more, and a person with two pictures or more")
    calibrated = tuple(_level(scores, fmr) for fmr in levels)
    supported = [level.fmr for level in calibrated if level.operating_point]
    if not supported:
        raise DataError(f"{scores.people} people with {len(impostors)} impostor pairs support no level")
    return Calibration(
        data=data,
        levels=calibrated,
        default_fmr=min((fmr for fmr in supported if fmr >= PREFERRED_LEVEL), default=max(supported)),
        impostor_tail=_tail(scores),
        fmr_ci95_below_tail=(0.0, min(1.0, _rounded(3 / len(impostors)))),
    )


def _level(scores: Scores, fmr: float) -> Level:
    reason = _unsupported(scores, fmr)
    if reason:
        return Level(fmr, None, reason)
    rates = metrics.curve(scores)
    chosen = int(np.searchsorted(rates.fmr, fmr, side="right")) - 1
    threshold = float(rates.thresholds[chosen])
    if not np.isfinite(threshold):
        return Level(fmr, None, "more impostor pairs than that are at the smallest distance of all")
    return Level(fmr, _operating_point(scores, fmr, threshold))


def _unsupported(scores: Scores, fmr: float) -> str | None:
    """Three expected errors are needed, counted in pairs and, since those of two people go together, in people."""
    needed = round(3 / fmr)
    impostor_pairs = len(scores.impostor_distances)
    pairs_of_people = scores.people * (scores.people - 1) // 2
    if impostor_pairs < needed:
        return f"{impostor_pairs} impostor pairs; {needed} or more are needed"
    if pairs_of_people < needed:
        return f"{scores.people} people, so {pairs_of_people} pairs of people; {needed} or more are needed"
    return None


def _operating_point(scores: Scores, fmr: float, threshold: float) -> OperatingPoint:
    rate = Rates(scores, np.array([threshold]))
    return OperatingPoint(
        fmr=fmr,
        threshold=threshold,
        fmr_ci95=rate.fmr_ci95(0),
        fnmr=_rounded(float(rate.fnmr[0])),
        fnmr_ci95=rate.fnmr_ci95(0),
        impostor_pairs=len(scores.impostor_distances),
        genuine_pairs=len(scores.genuine_distances),
        people=scores.people,
    )


def _tail(scores: Scores) -> tuple[TailPoint, ...]:
    """The impostor distances at ranks 1, 2, 3 ... growing by a tenth, up to all: about a hundred points."""
    closest = np.sort(scores.impostor_distances)
    ranks = np.unique(np.round(1.1 ** np.arange(0, np.log(len(closest)) / np.log(1.1))).astype(np.int64))
    distances = np.unique(closest[np.append(ranks, len(closest)) - 1])
    rate = Rates(scores, distances)
    return tuple(
        TailPoint(float(distance), _rounded(float(rate.fmr[i])), rate.fmr_ci95(i))
        for i, distance in enumerate(distances)
    )


class Rates:
    """FMR and FNMR of scores at given thresholds, with their 95 % intervals."""

    def __init__(self, scores: Scores, thresholds: Floats) -> None:
        self.fmr, self.fnmr = metrics.curve(scores).at(thresholds)
        self._impostors = len(scores.impostor_distances)
        self._genuine = len(scores.genuine_distances)
        self._resampled = metrics.bootstrap(scores, lambda rates: np.stack(rates.at(thresholds)))

    def fmr_ci95(self, index: int) -> tuple[float, float]:
        return self._interval(self.fmr[index], self._impostors, self._resampled[:, 0, index])

    def fnmr_ci95(self, index: int) -> tuple[float, float]:
        return self._interval(self.fnmr[index], self._genuine, self._resampled[:, 1, index])

    def _interval(self, rate: float, trials: int, resampled: Floats) -> tuple[float, float]:
        low, high = metrics.rate_interval(round(rate * trials), trials, resampled)
        return _rounded(low), _rounded(high)


def _rounded(rate: float) -> float:
    return float(f"{rate:.{_INTERVAL_DIGITS}g}")
