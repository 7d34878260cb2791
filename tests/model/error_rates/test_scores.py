import itertools
import math

import makers
import numpy as np
import pytest

from model.error_rates import intervals
from model.error_rates.scores import Scores, accuracy, best_accuracy, curve, precision

SCORES = makers.simulated_scores(people=12, pictures=3)


def coarse(scores: Scores) -> Scores:
    """The same scores with many ties."""
    return Scores(np.round(scores.distance), scores.genuine, scores.first, scores.second)


@pytest.fixture(params=[SCORES, coarse(SCORES)], ids=["distinct", "tied"])
def scores(request: pytest.FixtureRequest) -> Scores:
    found: Scores = request.param
    return found


def rates(scores: Scores, threshold: float) -> tuple[float, float]:
    accepted = [d <= threshold for d in scores.distance]
    impostor = [a for a, g in zip(accepted, scores.genuine, strict=True) if not g]
    genuine = [a for a, g in zip(accepted, scores.genuine, strict=True) if g]
    return sum(impostor) / len(impostor), 1 - sum(genuine) / len(genuine)


def test_the_curve_gives_the_rates_at_every_threshold(scores: Scores) -> None:
    whole = curve(scores)
    for threshold in (-1.0, 0.0, 0.05, 0.1, 1.0, 3.3, 99.0):
        fmr, fnmr = whole.at(np.array([threshold]))
        assert (fmr[0], fnmr[0]) == pytest.approx(rates(scores, threshold))
    assert (whole.fmr[0], whole.fnmr[0], whole.fmr[-1], whole.fnmr[-1]) == (0, 1, 1, pytest.approx(0))


def test_auc_is_the_chance_that_genuine_is_closer(scores: Scores) -> None:
    pairs = itertools.product(scores.genuine_distances, scores.impostor_distances)
    wins = [1.0 if g < i else 0.5 if g == i else 0.0 for g, i in pairs]
    assert curve(scores).auc == pytest.approx(sum(wins) / len(wins))


def test_eer_is_where_the_rates_meet(scores: Scores) -> None:
    candidates = [rates(scores, t) for t in [-1.0, *sorted(set(scores.distance))]]
    fmr, fnmr = min(candidates, key=lambda pair: abs(pair[0] - pair[1]))
    assert curve(scores).eer == pytest.approx((fmr + fnmr) / 2)


def test_best_accuracy_is_the_best_of_all_thresholds(scores: Scores) -> None:
    best = max(accuracy(scores, t) for t in [-1.0, *scores.distance])
    value, threshold = best_accuracy(scores)
    assert value == pytest.approx(best)
    assert accuracy(scores, threshold) == pytest.approx(best)


def test_accuracy_and_precision_by_hand() -> None:
    people = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 2])
    four = Scores(np.array([0.1, 0.9, 0.5, 0.7]), np.array([True, True, False, False]), *people)
    assert accuracy(four, 0.5) == 0.5
    assert precision(four, 0.5) == 0.5
    assert precision(four, 0.05) == 0.0


def test_separated_scores_are_perfect_and_equal_ones_are_chance() -> None:
    people = np.array([0, 1, 0, 1]), np.array([0, 1, 1, 2])
    genuine = np.array([True, True, False, False])
    apart = curve(Scores(np.array([0.1, 0.2, 0.8, 0.9]), genuine, *people))
    equal = curve(Scores(np.full(4, 0.5), genuine, *people))
    assert (apart.auc, apart.eer) == (1, 0)
    assert (equal.auc, equal.eer) == (0.5, 0.5)


def test_weighted_pairs_count_as_if_repeated() -> None:
    ordered = SCORES.ascending
    weights = np.random.default_rng(0).integers(0, 4, len(ordered.distance))
    repeated = Scores(
        np.repeat(ordered.distance, weights),
        np.repeat(ordered.genuine, weights),
        np.repeat(ordered.first, weights),
        np.repeat(ordered.second, weights),
    )
    weighted, plain = curve(SCORES, weights.astype(float)), curve(repeated)
    assert (weighted.auc, weighted.eer) == pytest.approx((plain.auc, plain.eer))


def test_the_bootstrap_draws_people_as_a_loop_would() -> None:
    rng = np.random.default_rng(0)
    fnmr: list[float] = []
    while len(fnmr) < intervals.RESAMPLES:
        drawn = rng.multinomial(12, np.full(12, 1 / 12)).tolist()
        errors = total = 0
        for d, g, a, b in zip(SCORES.distance, SCORES.genuine, SCORES.first, SCORES.second, strict=True):
            if g:
                assert a == b
                total += drawn[a]
                errors += drawn[a] * (d > 0.15)
        fnmr.append(errors / total)
    fast = intervals.bootstrap(SCORES, lambda curve: curve.at(np.array([0.15]))[1])
    np.testing.assert_allclose(fast[:, 0], fnmr)


def test_the_bootstrap_counts_pairs_of_strangers_as_often_as_both_were_drawn() -> None:
    drawn = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12))
    weights = drawn[SCORES.first] * drawn[SCORES.second] * ~SCORES.genuine
    expected = (weights * (SCORES.distance <= 1)).sum() / weights.sum()
    assert intervals.bootstrap(SCORES, lambda curve: curve.at(np.array([1.0]))[0])[0, 0] == pytest.approx(expected)


def test_the_binomial_interval_has_its_closed_forms() -> None:
    nothing = np.array([0.0])
    low, high = intervals.rate_interval(0, 100, nothing, np.ones(9), 100)
    assert (low, high) == pytest.approx((0, 1 - 0.025 ** (1 / 100)))
    low, high = intervals.rate_interval(100, 100, np.array([1.0]), np.ones(9), 100)
    assert (low, high) == pytest.approx((0.025 ** (1 / 100), 1))
    low, high = intervals.rate_interval(3, 20, np.array([0.15]), np.ones(9), 100)
    tail = sum(math.comb(20, k) * high**k * (1 - high) ** (20 - k) for k in range(4))
    assert tail == pytest.approx(0.025)


def test_where_nothing_went_wrong_independent_trials_bound_the_rate() -> None:
    assert intervals.rate_interval(0, 1000, np.zeros(9), np.ones(50), 20) == (0, 3 / 20)
    assert intervals.rate_interval(1000, 1000, np.ones(9), np.ones(50), 2) == (0, 1)


def test_few_people_with_most_pairs_count_as_few() -> None:
    assert intervals.effective_number(np.full(7, 3.0)) == pytest.approx(7)
    assert intervals.effective_number(np.array([100.0, 1, 1, 1])) == pytest.approx(103**2 / 10003)
    assert intervals.effective_number(np.zeros(3)) == 1


def test_the_variance_rests_on_those_who_weigh_most() -> None:
    assert intervals.degrees_of_freedom(np.full(7, 3.0)) == pytest.approx(6)
    rng, weights = np.random.default_rng(0), np.array([3.0, 3, 1, 1, 1, 1, 1, 1])
    # Variances of weighted sums whose mean is known are spread as chi squared with so many degrees of freedom.
    squares = (weights**2 * rng.normal(0, 1, (20_000, 8)) ** 2).sum(axis=1)
    assert intervals.degrees_of_freedom(weights) + 1 == pytest.approx(2 * squares.mean() ** 2 / squares.var(), rel=0.05)


def test_the_wider_interval_is_told() -> None:
    spread = np.array([0.3, 0.7])  # a standard error of 0.2, of 0.8 on the logit scale
    reach = 0.8 * math.sqrt(10 / 9) * 2.2622  # Student's quantile for ten people
    by_hand = 1 / (1 + math.exp(reach))
    assert intervals.rate_interval(50, 100, spread, np.ones(10), 10) == pytest.approx((by_hand, 1 - by_hand), rel=1e-4)


def test_as_many_other_people_vary_twice_as_much() -> None:
    half = intervals.OF_AS_MANY_OTHERS
    spread = np.array([0.3, 0.7])
    reach = 0.8 * math.sqrt(10 / 9) * 2.2622 * math.sqrt(2)  # variances of two samples add up
    by_hand = 1 / (1 + math.exp(reach))
    assert intervals.rate_interval(50, 100, spread, np.ones(10), 10, half) == pytest.approx(
        (by_hand, 1 - by_hand), rel=1e-4
    )
    nothing = np.array([0.0])
    assert intervals.rate_interval(0, 100, nothing, np.ones(9), 100, half) == pytest.approx((0, 1 - 0.025 ** (1 / 50)))
    assert intervals.rate_interval(0, 1000, np.zeros(9), np.ones(50), 20, half) == (0, 3 / 10)
