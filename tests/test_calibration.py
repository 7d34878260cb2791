import makers
import numpy as np
import pytest

from model.calibration import calibrate, require_support
from model.manifest import Calibration
from model.metrics import Scores
from model.people import DataError

SCORES = makers.simulated_scores(people=40, pictures=3)


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return calibrate(SCORES, makers.CALIBRATION_DATA)


def test_each_threshold_is_the_largest_that_keeps_its_level(calibration: Calibration) -> None:
    impostors = SCORES.impostor_distances
    for level in calibration.levels:
        point = level.operating_point
        if point is not None:
            assert np.mean(impostors <= point.threshold) <= level.fmr
            next_distance = SCORES.distance[SCORES.distance > point.threshold].min()
            assert np.mean(impostors <= next_distance) > level.fmr
            assert point.fnmr == pytest.approx(np.mean(SCORES.genuine_distances > point.threshold), rel=0.005)
            assert point.fmr_ci95[0] <= np.mean(impostors <= point.threshold) <= point.fmr_ci95[1]
            assert point.fnmr_ci95[0] <= point.fnmr <= point.fnmr_ci95[1]
            assert (point.impostor_pairs, point.genuine_pairs, point.people) == (40 * 39 // 2 * 9, 120, 40)


def test_levels_beyond_the_data_are_null_with_a_reason(calibration: Calibration) -> None:
    supported = [level.fmr for level in calibration.levels if level.operating_point]
    assert supported == [0.1, 0.01]
    reasons = {level.fmr: level.reason for level in calibration.levels}
    assert reasons[1e-3] == "40 people, so 780 pairs of people; 3000 or more are needed"
    assert reasons[1e-5] == "7020 impostor pairs; 300000 or more are needed"
    assert calibration.default_fmr == 0.01


def test_the_default_level_is_1e_3_where_the_data_supports_it() -> None:
    many = calibrate(makers.simulated_scores(people=100, pictures=2), makers.CALIBRATION_DATA)
    assert many.default_fmr == 1e-3
    assert [level.fmr for level in many.levels if level.operating_point] == [0.1, 0.01, 0.001]


def test_the_tail_is_the_share_of_strangers_at_least_as_close(calibration: Calibration) -> None:
    impostors = SCORES.impostor_distances
    tail = calibration.impostor_tail
    assert tail[0].distance == impostors.min()
    assert tail[-1].distance == impostors.max()
    for point in tail:
        share = np.mean(impostors <= point.distance)
        assert point.fmr == pytest.approx(share, rel=0.005)
        assert point.ci95[0] <= share * 1.005
        assert share <= point.ci95[1] * 1.005
    assert [p.distance for p in tail] == sorted({p.distance for p in tail})
    assert len(tail) < 120
    assert calibration.fmr_ci95_below_tail == pytest.approx((0, 3 / len(impostors)), rel=0.005)


def test_too_few_people_support_no_level() -> None:
    with pytest.raises(DataError, match="support no level"):
        calibrate(makers.simulated_scores(people=5), makers.CALIBRATION_DATA)
    with pytest.raises(DataError, match="8 people, so 28 pairs of people; 30 or more are needed"):
        require_support(8)
    require_support(9)


def test_genuine_pairs_are_needed() -> None:
    strangers = ~SCORES.genuine
    only = Scores(
        SCORES.distance[strangers], SCORES.genuine[strangers], SCORES.first[strangers], SCORES.second[strangers]
    )
    with pytest.raises(DataError, match="two pictures"):
        calibrate(only, makers.CALIBRATION_DATA)


def test_ties_at_the_smallest_distance_leave_a_level_null() -> None:
    flat = Scores(np.zeros_like(SCORES.distance), SCORES.genuine, SCORES.first, SCORES.second)
    with pytest.raises(DataError, match="support no level"):
        calibrate(flat, makers.CALIBRATION_DATA)
