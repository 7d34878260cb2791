"""Distances of people that training never saw to operating points; chooses thresholds, applies none."""

from collections.abc import Sequence

import numpy as np

from model import metrics
from model.manifest import Calibration, DataSource, Level, OperatingPoint, TailPoint
from model.metrics import Floats, Scores
from model.people import DataError

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
    reasons = {fmr: _reason_against(scores, fmr) for fmr in levels}
    supported = [fmr for fmr in levels if reasons[fmr] is None]
    if not supported:
        raise DataError(f"{scores.people} people with {len(impostors)} impostor pairs support no level")
    tail = _tail_distances(impostors)
    rates = Rates(scores, np.array([*(_threshold(scores, fmr) for fmr in supported), *tail]))
    points = {fmr: _operating_point(scores, fmr, rates, index) for index, fmr in enumerate(supported)}
    return Calibration(
        data=data,
        levels=tuple(Level(fmr, points.get(fmr), reasons[fmr]) for fmr in levels),
        default_fmr=min((fmr for fmr in supported if fmr >= PREFERRED_LEVEL), default=max(supported)),
        impostor_tail=tuple(_tail_point(rates, index) for index in range(len(supported), len(rates.thresholds))),
        fmr_ci95_below_tail=(0.0, min(1.0, _rounded(3 / len(impostors)))),
    )


def require_support(people: int) -> None:
    """Raises DataError, before any work, where so few people cannot support even the coarsest level."""
    reason = _too_few_people(people, LEVELS[0])
    if reason:
        raise DataError(f"calibration at FMR {LEVELS[0]:g}: {reason}")


def _too_few_people(people: int, fmr: float) -> str | None:
    # Three expected errors, counted in pairs of people, since comparisons of the same two people go together.
    needed, pairs = round(3 / fmr), people * (people - 1) // 2
    return f"{people} people, so {pairs} pairs of people; {needed} or more are needed" if pairs < needed else None


def _reason_against(scores: Scores, fmr: float) -> str | None:
    impostor_pairs, needed = len(scores.impostor_distances), round(3 / fmr)
    if impostor_pairs < needed:
        return f"{impostor_pairs} impostor pairs; {needed} or more are needed"
    too_few = _too_few_people(scores.people, fmr)
    if too_few:
        return too_few
    if not np.isfinite(_threshold(scores, fmr)):
        return "more impostor pairs than that are at the smallest distance of all"
    return None


def _threshold(scores: Scores, fmr: float) -> float:
    """The largest distance at which no more than this share of impostor pairs is accepted; -inf if there is none."""
    rates = metrics.curve(scores)
    return float(rates.thresholds[np.searchsorted(rates.fmr, fmr, side="right") - 1])


def _operating_point(scores: Scores, fmr: float, rates: "Rates", index: int) -> OperatingPoint:
    return OperatingPoint(
        fmr=fmr,
        threshold=float(rates.thresholds[index]),
        fmr_ci95=rates.fmr_ci95(index),
        fnmr=_rounded(float(rates.fnmr[index])),
        fnmr_ci95=rates.fnmr_ci95(index),
        impostor_pairs=len(scores.impostor_distances),
        genuine_pairs=len(scores.genuine_distances),
        people=scores.people,
    )


def _tail_distances(impostors: Floats) -> Floats:
    """The impostor distances at ranks 1, 2, 3 ... growing by a tenth, up to all: about a hundred."""
    closest = np.sort(impostors)
    ranks = np.unique(np.round(1.1 ** np.arange(0, np.log(len(closest)) / np.log(1.1))).astype(np.int64))
    return np.unique(closest[np.append(ranks, len(closest)) - 1])


def _tail_point(rates: "Rates", index: int) -> TailPoint:
    return TailPoint(float(rates.thresholds[index]), _rounded(float(rates.fmr[index])), rates.fmr_ci95(index))


class Rates:
    """FMR and FNMR of scores at given thresholds, with their 95 % intervals."""

    def __init__(self, scores: Scores, thresholds: Floats) -> None:
        self.thresholds = thresholds
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
