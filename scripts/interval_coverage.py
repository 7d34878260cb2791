"""Checks how often 95 % intervals contain the true rate, on a thousand simulated data sets whose rates are known.

Each person has an offset that moves all of that person's distances, so pairs that share a person are correlated.
"""

import argparse
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import terminal
from scipy import stats

from model.error_rates.at_thresholds import Rates
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
    """The true rate, and the shares of runs whose exact binomial and whose reported interval contain it."""

    rate: float
    binomial: float
    reported: float


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
            held = [f"{100 * rate.binomial:.1f} %", f"{100 * rate.reported:.1f} %"]
            rows.append([situation, f"{name} {rate.rate:.3g}", *held])
    head = ["situation", "rate", "exact binomial contains the true rate", "reported interval contains the true rate"]
    print(table(head, rows))


def coverage(
    situation: str, people: int, runs: int, seed: int, track: Callable[[Iterable[int]], Iterable[int]] = iter
) -> tuple[Coverage, Coverage]:
    """How often the intervals of FMR and FNMR, over simulated data sets of `people`, contain the true rate."""
    spread, most = SITUATIONS[situation]
    fmr = float(stats.norm.cdf((_THRESHOLD - _IMPOSTOR) / math.hypot(1, spread * math.sqrt(2))))
    fnmr = float(stats.norm.sf((_THRESHOLD - _GENUINE) / math.hypot(1, spread)))
    rng = np.random.default_rng(seed)
    held = np.zeros((2, 2))
    for _ in track(range(runs)):
        scores = simulated(rng, people, spread, most)
        rates = Rates(scores, np.array([_THRESHOLD]))
        errors = [scores.impostor_distances <= _THRESHOLD, scores.genuine_distances > _THRESHOLD]
        for kind, (truth, reported) in enumerate(((fmr, rates.fmr_ci95(0)), (fnmr, rates.fnmr_ci95(0)))):
            exact = stats.binomtest(int(errors[kind].sum()), len(errors[kind])).proportion_ci(method="exact")
            held[kind] += [exact.low <= truth <= exact.high, reported[0] <= truth <= reported[1]]
    return Coverage(fmr, *(held[0] / runs)), Coverage(fnmr, *(held[1] / runs))


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
