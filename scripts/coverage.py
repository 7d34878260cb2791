"""Do 95 % intervals hold the truth 95 times in 100? Simulates scores whose error rates are known, a thousand times.

Each person has a place of their own that moves all their distances, so that pairs that share a person go together.
"""

import argparse
import math
from dataclasses import dataclass

import numpy as np
import terminal
from scipy import stats

from model.metrics import Scores
from model.rates import Rates

SITUATIONS = {"pairs independent": 0.0, "pairs go together": 0.5, "pairs go together closely": 1.0}
"""The deviation of people's places, where that of a single comparison is one."""
_GENUINE, _IMPOSTOR, _PICTURES = 0.0, 4.0, 3


@dataclass(frozen=True)
class Coverage:
    situation: str
    fmr: float
    fmr_held: float
    fnmr: float
    fnmr_held: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--people", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("| situation | FMR | its interval holds it | FNMR | its interval holds it |\n|---|---|---|---|---|")
    for situation in SITUATIONS:
        found = coverage(situation, options.people, options.runs, options.seed, terminal.progress("run"))
        held = f"{found.fmr:.3g} | {100 * found.fmr_held:.1f} % | {found.fnmr:.3g} | {100 * found.fnmr_held:.1f} %"
        print(f"| {situation} | {held} |", flush=True)


def coverage(situation: str, people: int, runs: int, seed: int, track: object = iter) -> Coverage:
    """How often the intervals of `runs` simulated data sets of `people` hold the rates that are true of them all."""
    spread = SITUATIONS[situation]
    threshold = 2.0
    fmr = float(stats.norm.cdf((threshold - _IMPOSTOR) / math.hypot(1, spread * math.sqrt(2))))
    fnmr = float(stats.norm.sf((threshold - _GENUINE) / math.hypot(1, spread)))
    rng = np.random.default_rng(seed)
    held = np.zeros(2)
    for _ in track(range(runs)):  # type: ignore[operator]  # a progress bar's wrapper or iter
        rates = Rates(simulated(rng, people, spread), np.array([threshold]))
        for number, (truth, (low, high)) in enumerate(((fmr, rates.fmr_ci95(0)), (fnmr, rates.fnmr_ci95(0)))):
            held[number] += low <= truth <= high
    return Coverage(situation, fmr, held[0] / runs, fnmr, held[1] / runs)


def simulated(rng: np.random.Generator, people: int, spread: float) -> Scores:
    labels = np.repeat(np.arange(people), _PICTURES)
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
