"""Checks how often 95 % intervals contain what they promise, on a thousand simulated data sets whose rates are known.

A confidence interval (in reports) promises the true rate. A prediction interval (in calibrations) promises the rate of
as many other people, who are simulated anew each time. Each person has an offset that moves all of that person's
distances, so pairs that share a person are correlated.
"""

import argparse
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import terminal
from numpy.typing import NDArray
from scipy import stats

from model.error_rates.at_thresholds import RatesAtThresholds
from model.error_rates.scores import Scores
from model.reports.markdown import table

SITUATIONS = {
    "pairs independent": (0.0, 3),
    "pairs go together": (0.5, 3),
    "pairs go together closely": (1.0, 3),
    "pairs go together, few people have most": (0.5, 20),
}
"""The deviation of people's places, where that of a single comparison is one, and the most pictures of a person."""
_GENUINE, _THRESHOLD, _IMPOSTOR, _EQUAL = 0.0, 2.0, 4.0, 3


@dataclass(frozen=True)
class Coverage:
    """The true rate, and the shares of runs whose intervals contain it; `predicted`: the rate of as many others."""

    rate: float
    binomial: float
    reported: float
    predicted: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=terminal.positive, default=1000)
    parser.add_argument("--people", type=terminal.positive, default=80)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = []
    for situation in SITUATIONS:
        of_situation = coverage(situation, options.people, options.runs, options.seed, terminal.progress("run"))
        for name, rate in zip(("FMR", "FNMR"), of_situation, strict=True):
            held = [f"{100 * share:.1f} %" for share in (rate.binomial, rate.reported, rate.predicted)]
            rows.append([situation, f"{name} {rate.rate:.3g}", *held])
    true, others = "contains the true rate", "contains the rate of as many others"
    head = ["situation", "rate", f"exact binomial {true}", f"confidence interval {true}"]
    print(table([*head, f"prediction interval {others}"], rows))


def coverage(
    situation: str, people: int, runs: int, seed: int, progress: Callable[[Iterable[int]], Iterable[int]] = iter
) -> tuple[Coverage, Coverage]:
    """How often the intervals of FMR and FNMR, over simulated data sets of `people`, contain the true rate."""
    spread, most = SITUATIONS[situation]
    fmr = float(stats.norm.cdf((_THRESHOLD - _IMPOSTOR) / math.hypot(1, spread * math.sqrt(2))))
    fnmr = float(stats.norm.sf((_THRESHOLD - _GENUINE) / math.hypot(1, spread)))
    rng = np.random.default_rng(seed)
    held = np.zeros((2, 3))
    for _ in progress(range(runs)):
        scores = simulated(rng, people, spread, most)
        rates = RatesAtThresholds(scores, np.array([_THRESHOLD]))
        reported, predicted = (rates.fmr_ci95(0), rates.fnmr_ci95(0)), (rates.fmr_of_others(0), rates.fnmr_of_others(0))
        others = _errors(simulated(rng, people, spread, most))
        for kind, (errors, truth) in enumerate(zip(_errors(scores), (fmr, fnmr), strict=True)):
            exact = stats.binomtest(int(errors.sum()), len(errors)).proportion_ci(method="exact")
            promises = [(exact, truth), (reported[kind], truth), (predicted[kind], others[kind].mean())]
            held[kind] += [low <= rate <= high for (low, high), rate in promises]
    return Coverage(fmr, *(held[0] / runs)), Coverage(fnmr, *(held[1] / runs))


def _errors(scores: Scores) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which impostor pairs are accepted, and which genuine pairs are rejected."""
    return scores.impostor_distances <= _THRESHOLD, scores.genuine_distances > _THRESHOLD


def simulated(rng: np.random.Generator, people: int, spread: float, most: int) -> Scores:
    """People of three pictures each, or of one to `most`."""
    pictures = np.full(people, most) if most == _EQUAL else np.round(np.geomspace(1, most, people)).astype(np.int64)
    labels = np.repeat(np.arange(people), pictures)
    first, second = np.triu_indices(len(labels), k=1)
    genuine = labels[first] == labels[second]
    places = rng.normal(0, spread, (2, people))  # of a person among strangers, and of a person's own pictures
    middle = np.where(
        genuine, _GENUINE + places[1][labels[first]], _IMPOSTOR + places[0][labels[first]] + places[0][labels[second]]
    )
    return Scores(middle + rng.normal(0, 1, len(first)), genuine, labels[first], labels[second])


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
