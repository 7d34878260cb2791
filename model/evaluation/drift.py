"""Compares a service's counts with those of its calibration: has either changed? It knows no service and no picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from model.manifest import Histograms

BinCounts = NDArray[np.float64]
_LITTLE, _MUCH = 0.1, 0.25
"""Conventional limits of the index: Siddiqi, "Credit Risk Scorecards" (2006)."""
_LEAST_SHARE = 0.05
_MIXTURES = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Drift:
    """`index` is the population stability index; by chance alone it is below `chance` 19 times in 20."""

    measure: str
    seen: int
    index: float
    chance: float

    @property
    def verdict(self) -> str:
        if self.chance > _MUCH:
            return "too few to say"
        if self.index <= max(self.chance, _LITTLE):
            return "unchanged"
        return "changed" if self.index > _MUCH else "changed a little"


def drift(measure: str, expected: BinCounts, seen: BinCounts) -> Drift:
    """Compares counts of the same bins, (bins,). Neighbouring bins are merged until each is expected to hold 1/20.

    Source of `chance`: Yurdakul, "Statistical properties of population stability index" (2018).
    """
    wide = _wide_bins(expected)
    merged = [np.bincount(wide, weights=counts) for counts in (expected, seen)]
    many = [counts.sum() for counts in merged]
    one, other = ((counts + 0.5) / (counts + 0.5).sum() for counts in merged)
    index = float(np.sum((other - one) * np.log(other / one)))
    chance = (
        float(stats.chi2.ppf(0.95, len(one) - 1)) * sum(1 / max(count, 1) for count in many) if len(one) > 1 else 0.0
    )
    return Drift(measure, int(many[1]), index, chance)


def distance_drift(calibrated: Histograms, seen: BinCounts) -> tuple[Drift, float]:
    """The drift of the distances, and the share of pairs of one person in them.

    How many of the pairs that a service is asked about show one person is its callers' affair: the mixture of both
    kinds that fits best is what is compared.
    """
    impostor, genuine = (
        np.array(histogram.counts, np.float64)
        for histogram in (calibrated.impostor_distance, calibrated.genuine_distance)
    )
    pairs = min(impostor.sum(), genuine.sum())
    kinds = [pairs * counts / counts.sum() for counts in (impostor, genuine)]
    mixtures = [(1 - share) * kinds[0] + share * kinds[1] for share in _MIXTURES]
    drifts = [drift("distance", mixture, seen) for mixture in mixtures]
    best = int(np.argmin([_misfit(mixture, seen) for mixture in mixtures]))
    return drifts[best], float(_MIXTURES[best])


def _misfit(mixture: BinCounts, seen: BinCounts) -> float:
    """The negative log likelihood of what was seen."""
    shares = (mixture + 0.5) / (mixture + 0.5).sum()
    return float(-np.sum(seen * np.log(shares)))


def _wide_bins(expected: BinCounts) -> NDArray[np.int64]:
    """The number of the wide bin that each bin goes to."""
    reached = np.cumsum(expected) / expected.sum()
    number, start, bins = 0, 0.0, []
    for share in reached:
        bins.append(number)
        if share - start >= _LEAST_SHARE and 1 - share >= _LEAST_SHARE:
            number, start = number + 1, share
    return np.array(bins)
