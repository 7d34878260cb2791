"""The threshold of a search: bounds that hold, levels that the data cannot support, outcomes without a gap."""

import math

import makers
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.decision import LevelNotSupported
from model.evaluation.calibration import calibrate
from model.manifest import Calibration, Identification, RatePoint, SearchTail
from model.search import SearchPoint, SearchPolicy

SCORES = makers.simulated_scores(people=200)
DATA = msgspec.structs.replace(makers.CALIBRATION_DATA, people=tuple(f"{i:012x}" for i in range(200)))
CALIBRATION = calibrate(SCORES, DATA)


def tail(people: int, *points: tuple[float, float], searchers: int = 400) -> SearchTail:
    made = tuple(RatePoint(distance, rate, (rate / 2, min(1.0, rate * 2))) for distance, rate in points)
    return SearchTail(people, 1, searchers, 20 * searchers, made)


def with_searches(*nonmated: SearchTail, mated: tuple[SearchTail, ...] = ()) -> Calibration:
    return msgspec.structs.replace(CALIBRATION, identification=Identification(nonmated, mated, 0.02))


def rate_of_pairs(threshold: float) -> float:
    return float((SCORES.impostor_distances <= threshold).mean())


@pytest.mark.parametrize("photos", [1, 3, 10, 40])
@pytest.mark.parametrize("fpir", [0.1, 0.3])
def test_by_pairs_the_chance_of_any_is_at_most_the_level(fpir: float, photos: int) -> None:
    point = SearchPolicy(CALIBRATION).point(fpir, photos, photos)
    assert rate_of_pairs(point.threshold) * photos <= fpir
    assert (point.source, point.fpir, point.people, point.photos) == ("union_bound", fpir, photos, photos)
    assert point.margin == pytest.approx(0.05 * point.threshold, abs=1e-6)
    assert point.fnir >= float((SCORES.genuine_distances > point.threshold).mean())


def test_what_the_pairs_cannot_support_is_refused() -> None:
    policy = SearchPolicy(CALIBRATION)
    policy.point(0.02, 100, 100)  # 19,900 pairs of people: three errors at 1.5e-4
    with pytest.raises(LevelNotSupported):
        policy.point(0.01, 100, 100)


def test_searches_are_taken_where_they_allow_more() -> None:
    calibration = with_searches(tail(100, (0.001, 0.01), (0.5, 0.05), (0.9, 0.1)))
    point = SearchPolicy(calibration).point(0.1, 100, 100)
    assert (point.threshold, point.source, point.fpir_ci95, point.margin) == (0.9, "calibration", (0.05, 0.2), 0.02)
    assert SearchPolicy(calibration).point(0.099, 100, 100).threshold == 0.5
    larger = SearchPolicy(calibration).point(0.1, 150, 200)
    assert larger.threshold == 0.5
    assert larger.fpir_ci95 == (0.025, 0.2)


def test_the_searches_of_the_size_that_fits_best_are_taken() -> None:
    calibration = with_searches(tail(100, (0.3, 0.01), (0.5, 0.02)), tail(1000, (0.2, 0.01), (0.45, 0.05), (0.6, 0.1)))
    policy = SearchPolicy(calibration)
    assert policy.point(0.1, 500, 500).threshold == 0.6  # ten times 2 % is 10 % as well, but at a smaller distance
    assert policy.point(0.05, 200, 200).threshold == 0.5
    assert policy.point(0.05, 1000, 1000).threshold == 0.45


def test_too_few_searchers_support_nothing_by_themselves() -> None:
    calibration = with_searches(tail(100, (5.0, 0.01), searchers=299))
    with pytest.raises(LevelNotSupported):
        SearchPolicy(calibration).point(0.01, 100, 100)
    assert SearchPolicy(with_searches(tail(100, (5.0, 0.01), searchers=300))).point(0.01, 100, 100).threshold == 5.0


def test_misses_are_those_of_as_many_photos() -> None:
    mated = (tail(100, (0.1, 0.5), (0.8, 0.9)), msgspec.structs.replace(tail(100, (0.1, 0.7), (0.8, 0.97)), photos=3))
    policy = SearchPolicy(with_searches(tail(100, (0.9, 0.1)), mated=mated))
    assert policy.point(0.1, 100, 100).fnir == pytest.approx(0.1)
    assert policy.point(0.1, 33, 99).fnir == pytest.approx(0.03)
    assert policy.point(0.1, 50, 100).fnir == pytest.approx(0.1)
    low, high = policy.point(0.1, 100, 100).fnir_ci95
    assert low <= 0.1 <= high


@given(
    distances=st.lists(st.floats(0, 2), max_size=4).map(sorted),
    threshold=st.floats(0.1, 1),
    margin=st.floats(0.01, 0.2),
)
def test_an_outcome_is_exactly_one_of_three(distances: list[float], threshold: float, margin: float) -> None:
    point = SearchPoint(0.1, (0, 1), 0, (0, 1), threshold, margin, 4, 4, "union_bound")
    best, second, *_ = [*distances, math.inf, math.inf]
    expected = {
        "unknown": best > threshold,
        "ambiguous": best <= threshold and second - best < margin,
        "known": best <= threshold and not second - best < margin,
    }
    assert [outcome for outcome, holds in expected.items() if holds] == [point.outcome(distances)]
