"""FMR and FNMR of scores at given thresholds, each with its 95 % interval; chooses no threshold."""

import numpy as np

from model import metrics
from model.manifest import GenuinePoint, TailPoint
from model.metrics import Floats, Scores

_INTERVAL_DIGITS = 3


class Rates:
    """Resamples once for all thresholds; shapes (thresholds,)."""

    def __init__(self, scores: Scores, thresholds: Floats) -> None:
        self.thresholds = thresholds
        self.fmr, self.fnmr = metrics.curve(scores).at(thresholds)
        self._impostors = len(scores.impostor_distances)
        self._genuine = len(scores.genuine_distances)
        self._resampled = metrics.bootstrap(scores, lambda rates: np.stack(rates.at(thresholds)))

    def impostor_points(self) -> list[TailPoint]:
        points = enumerate(zip(self.thresholds.tolist(), self.fmr.tolist(), strict=True))
        return [TailPoint(distance, rounded(fmr), self.fmr_ci95(index)) for index, (distance, fmr) in points]

    def genuine_points(self) -> list[GenuinePoint]:
        points = enumerate(zip(self.thresholds.tolist(), self.fnmr.tolist(), strict=True))
        return [GenuinePoint(distance, rounded(fnmr), self.fnmr_ci95(index)) for index, (distance, fnmr) in points]

    def fmr_ci95(self, index: int) -> tuple[float, float]:
        return self._interval(self.fmr[index], self._impostors, self._resampled[:, 0, index])

    def fnmr_ci95(self, index: int) -> tuple[float, float]:
        return self._interval(self.fnmr[index], self._genuine, self._resampled[:, 1, index])

    def _interval(self, rate: float, trials: int, resampled: Floats) -> tuple[float, float]:
        if trials == 0:
            return 0.0, 1.0
        low, high = metrics.rate_interval(round(rate * trials), trials, resampled)
        return rounded(low), rounded(high)


def rounded(rate: float) -> float:
    return float(f"{rate:.{_INTERVAL_DIGITS}g}")
