"""Says what a number of people and pairs can support: which levels, and how wide an interval. It measures nothing."""

from collections.abc import Mapping, Sequence

import numpy as np

from model.data.people import DataError
from model.error_rates.intervals import Estimate, percentile_interval, student_interval
from model.error_rates.scores import Floats, Scores

LEVELS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""The false match rates that thresholds are chosen for, where the data supports them."""
_NO_WIDTH = 1e-9


def require_support(people: int) -> None:
    """Raises DataError, before any work, where so few people cannot support even the coarsest level."""
    reason = too_few_people(people, LEVELS[0])
    if reason:
        raise DataError(f"calibration at FMR {LEVELS[0]:g}: {reason}")


def too_few_people(people: int, fmr: float) -> str | None:
    """The reason why this number of people cannot support a level, or None where it can."""
    # Three expected errors, counted in pairs of people, since comparisons of the same two people go together.
    needed, pairs = round(3 / fmr), people * (people - 1) // 2
    return f"{people} people, so {pairs} pairs of people; {needed} or more are needed" if pairs < needed else None


def reaches(fmr: float, impostor_pairs: int) -> bool:
    """Whether at least three false matches are expected at this level; fewer would choose a threshold by chance."""
    return fmr * impostor_pairs >= 3


def estimate(value: float, resampled: Floats, people: int, lowest: float = 0.0) -> Estimate:
    """A share (or a difference of two, from `lowest` -1) with its 95 % interval over resamplings of so many people."""
    share = lowest == 0 and 0 < value < 1
    alike = np.ones(people)
    interval = student_interval(float(value), resampled, alike) if share else percentile_interval(resampled)
    return Estimate(float(value), never_certain(float(value), interval, people, lowest))


def never_certain(value: float, interval: tuple[float, float], people: int, lowest: float = 0.0) -> tuple[float, float]:
    """Returns the interval, or value +- 3 / people where it has no width because all people are alike.

    Where an error befalls 3 in `people` of all people, a sample of `people` shows none in 5 % of cases: the rule of
    three (Hanley, Lippman-Hand, "If nothing goes wrong, is everything all right?", 1983).
    """
    low, high = interval
    if high - low > _NO_WIDTH:
        return interval
    return max(value - 3 / people, lowest), min(value + 3 / people, 1.0)


def people_with_genuine_pairs(scores: Scores) -> int:
    """The number of people with genuine pairs: figures over genuine pairs rest on these people only."""
    return len(np.unique(scores.first[scores.genuine]))


def pairs_inside(scores: Scores, people: Sequence[str], groups: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """How many impostor and genuine pairs lie inside each group; `groups`: people's names to groups."""
    pairs = {}
    for group in sorted(set(groups.values())):
        inside = np.array([groups.get(person) == group for person in people])
        both = inside[scores.first] & inside[scores.second]
        pairs[group] = int((both & ~scores.genuine).sum()), int((both & scores.genuine).sum())
    return pairs
