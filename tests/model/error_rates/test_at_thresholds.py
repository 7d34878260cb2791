import makers
import numpy as np
import pytest

from model.error_rates import intervals
from model.error_rates.at_thresholds import RatesAtThresholds, resampled_rates
from model.error_rates.scores import Scores

SCORES = makers.simulated_scores(people=30, pictures=3)
THRESHOLDS = np.array([0.0, 0.05, 0.1, 0.101, 2.0, 20.0])


def test_counts_of_people_give_what_every_pair_weighed_gives() -> None:
    slow = intervals.bootstrap(SCORES, lambda rates: np.stack(rates.at(THRESHOLDS)))
    fmr, fnmr = resampled_rates(SCORES, THRESHOLDS)
    assert fmr == pytest.approx(slow[:, 0])
    assert fnmr == pytest.approx(slow[:, 1])


def test_thresholds_may_come_in_any_order() -> None:
    rising, mixed = RatesAtThresholds(SCORES, THRESHOLDS), RatesAtThresholds(SCORES, THRESHOLDS[[3, 1, 0]])
    assert [mixed.fmr_ci95(i) for i in range(3)] == [rising.fmr_ci95(i) for i in (3, 1, 0)]
    assert [mixed.fnmr_ci95(i) for i in range(3)] == [rising.fnmr_ci95(i) for i in (3, 1, 0)]
    assert rising.fmr_ci95(0)[0] == 0


def test_a_threshold_on_a_distance_accepts_it() -> None:
    closest = SCORES.distance.min()
    fmr, fnmr = resampled_rates(SCORES, np.array([closest]))
    assert max(fmr.max(), 1 - fnmr.min()) > 0


@pytest.mark.parametrize(("alike", "may_show_none"), [(2, True), (30, False)])
def test_where_all_errors_are_those_of_two_people_as_many_others_may_show_none(alike: int, may_show_none: bool) -> None:
    """Whoever is in the data under two names brings many false matches at once, or none."""
    labels = np.repeat(np.arange(60), 5)
    first, second = np.triu_indices(len(labels), k=1)
    one, other = labels[first], labels[second]
    two_in_one = (one % 2 == 0) & (other == one + 1) & (other < alike)
    rates = RatesAtThresholds(Scores(np.where(two_in_one, 0.5, 2.0), one == other, one, other), np.array([1.0]))
    assert rates.fmr[0] > 0
    assert (rates.fmr_of_others(0)[0] == 0) == may_show_none
    assert rates.fmr_ci95(0)[0] > 0
