import makers
import numpy as np
import pytest

from model.data.people import DataError
from model.error_rates.sample_size import require_support
from model.error_rates.scores import Scores
from model.evaluation.calibration import calibrate
from model.manifest import Calibration, DataSource, GenuinePoint, GenuineTail

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
    uppers = [point.ci95[1] for point in tail]
    assert uppers == sorted(uppers)
    assert calibration.fmr_ci95_below_tail == (0, uppers[0])  # what nobody reached has no smaller bound
    assert uppers[0] >= 3 / len(impostors)


def test_too_few_people_support_no_level() -> None:
    with pytest.raises(DataError, match="support no level"):
        calibrate(makers.simulated_scores(people=5), makers.CALIBRATION_DATA)
    with pytest.raises(DataError, match="8 people, so 28 pairs of people; 30 or more are needed"):
        require_support(8)
    require_support(9)


def test_the_genuine_tail_is_the_share_of_one_persons_pairs_farther_apart(calibration: Calibration) -> None:
    tail, genuine = calibration.genuine_tail, SCORES.genuine_distances
    assert tail is not None
    assert (tail.data, tail.pairs) == (makers.CALIBRATION_DATA, 120)
    assert (tail.points[0].distance, tail.points[-1].distance) == (genuine.min(), genuine.max())
    for point in tail.points:
        assert point.fnmr == pytest.approx(np.mean(genuine > point.distance), rel=0.005)
        assert point.ci95[0] <= point.fnmr <= point.ci95[1]
    assert [p.distance for p in tail.points] == sorted({p.distance for p in tail.points})


def only_strangers() -> Scores:
    kept = ~SCORES.genuine
    return Scores(SCORES.distance[kept], SCORES.genuine[kept], SCORES.first[kept], SCORES.second[kept])


def test_genuine_pairs_are_needed_here_or_lent() -> None:
    with pytest.raises(DataError, match="two pictures"):
        calibrate(only_strangers(), makers.CALIBRATION_DATA)


def test_one_picture_a_person_gives_thresholds_and_lends_the_fnmr(calibration: Calibration) -> None:
    others = DataSource("others", "1" * 64, 40, makers.CALIBRATION_DATA.people)
    alone = calibrate(only_strangers(), others, fallback_genuine=calibration.genuine_tail)
    assert alone.genuine_tail is calibration.genuine_tail
    assert alone.data is others
    for mine, theirs in zip(alone.levels, calibration.levels, strict=True):
        one, other = mine.operating_point, theirs.operating_point
        assert (one is None, mine.reason) == (other is None, theirs.reason)
        if one is not None and other is not None:
            assert (one.impostor_pairs, one.genuine_pairs) == (7020, 120)
            assert np.sum(SCORES.impostor_distances <= one.threshold) == int(one.fmr * 7020)
            assert one.fmr_ci95 == pytest.approx(other.fmr_ci95, rel=0.2)  # of the same pairs, resampled anew
            measured = float(np.mean(SCORES.genuine_distances > one.threshold))
            assert measured * 0.995 <= one.fnmr <= max(0.05, measured * 1.15)
            assert one.fnmr_ci95[0] <= one.fnmr <= one.fnmr_ci95[1]


def test_a_threshold_below_every_genuine_distance_has_no_known_fnmr() -> None:
    far = GenuineTail(makers.CALIBRATION_DATA, 9, (GenuinePoint(11.0, 0.5, (0.2, 0.8)),))
    points = [
        level.operating_point
        for level in calibrate(only_strangers(), makers.CALIBRATION_DATA, fallback_genuine=far).levels
    ]
    assert [(p.fnmr, p.fnmr_ci95) for p in points if p] == [(1.0, (0.0, 1.0))] * 2


def test_ties_at_the_smallest_distance_leave_a_level_null() -> None:
    flat = Scores(np.zeros_like(SCORES.distance), SCORES.genuine, SCORES.first, SCORES.second)
    with pytest.raises(DataError, match="support no level"):
        calibrate(flat, makers.CALIBRATION_DATA)
