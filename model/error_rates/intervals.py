"""Computes how sure an error rate is: by a bootstrap over people and the exact binomial over pairs."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from model.error_rates.scores import Curve, Floats, Scores, curve

RESAMPLES = 1000
_ONE_SIDE = 0.025
OF_AS_MANY_OTHERS = 0.5
"""What a sample is worth as evidence of the rate that as many other people show: half.

Their chance adds as much variance as the sample's own (prediction intervals: Hahn and Meeker, "Statistical Intervals",
1991).
"""


@dataclass(frozen=True)
class Estimate:
    value: float
    ci95: tuple[float, float]


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


def effective_number(weights: Floats) -> float:
    """How many people of equal weight carry as much information (Kish, "Survey Sampling", 1965); at least 1.

    Where a few people bring most of the pairs, the rest hardly counts.
    """
    return float(weights.sum() ** 2 / (weights**2).sum()) if weights.any() else 1.0


def pairs_of(people: float) -> float:
    """How many pairs so many people make; at least 1."""
    return max(people * (people - 1) / 2, 1.0)


def rate_interval(
    errors: int, trials: int, resampled: Floats, weights: Floats, independent: float, evidence: float = 1.0
) -> tuple[float, float]:
    """95 % interval of an error rate: the wider, at each end, of exact binomial and bootstrap over people.

    `weights`: how many of the pairs each person has, (people,). Where all trials went alike the bootstrap tells
    nothing: then the rule of three does (Hanley and Lippman-Hand, 1983), over as many trials as are `independent`.
    `evidence`: 1 for a confidence interval of the rate of all such people, `OF_AS_MANY_OTHERS` for a prediction
    interval of the rate of a new sample. A new sample may show no error where the resamples that show none are 2.5 % or
    more, as where all errors are those of two people.
    """
    exact_low, exact_high = _exact_binomial(errors * evidence, trials * evidence)
    rate = min(max(errors, 0.5), trials - 0.5) / trials
    low, high = student_interval(rate, resampled, weights, evidence)
    unseen = min(1.0, 3 / (independent * evidence))
    low, high = min(low, 1 - unseen) if errors == trials else low, max(high, unseen) if errors == 0 else high
    if evidence < 1 and float(np.mean(resampled == 0)) >= _ONE_SIDE:
        low = 0.0
    return min(exact_low, low), max(exact_high, high)


def _exact_binomial(errors: float, trials: float) -> tuple[float, float]:
    """Clopper and Pearson's interval (1934), by beta quantiles, so that trials may count in part."""
    low = float(stats.beta.ppf(0.025, errors, trials - errors + 1)) if errors else 0.0
    return low, float(stats.beta.ppf(0.975, errors + 1, trials - errors)) if errors < trials else 1.0


def student_interval(rate: float, resampled: Floats, weights: Floats, evidence: float = 1.0) -> tuple[float, float]:
    """95 % interval of a share, neither 0 nor 1, from its resamplings; those that are nan are left out.

    Student's on the logit scale, with the standard error of the bootstrap: percentiles alone hold rare rates too seldom
    (`scripts/interval_coverage.py`). `weights` and `evidence`: see `rate_interval`.
    """
    deviation = float(np.nanstd(resampled)) / math.sqrt(_variance_seen(weights)) / (rate * (1 - rate))
    reach = float(stats.t.ppf(0.975, degrees_of_freedom(weights))) * deviation / math.sqrt(evidence)
    low, high = (float(special.expit(special.logit(rate) + end)) for end in (-reach, reach))
    return low, high


def degrees_of_freedom(weights: Floats) -> float:
    """How many independent squares the variance of a mean of people rests on; people less one where all weigh the same.

    Few people with most of the weight decide the variance almost alone. Source: Satterthwaite (1946), as Bell and
    McCaffrey, "Bias reduction in standard errors for linear regression with multi-stage samples" (2002), use it.
    """
    return max(effective_number(weights**2) - 1, 1.0)


def _variance_seen(weights: Floats) -> float:
    """The share of the variance that a bootstrap sees, since deviations are from the mean of the very same people.

    (people - 1) / people where all weigh the same (Bell and McCaffrey, 2002).
    """
    share = weights / weights.sum()
    squares = float((share**2).sum())
    return max(1 - 2 * float((share**3).sum()) / squares + squares, 0.5)
