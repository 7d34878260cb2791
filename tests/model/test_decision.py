import makers
import msgspec
import numpy as np
import pytest

from model.decision import LevelNotSupported, Policy
from model.manifest import BundleError, Manifest


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return makers.make_bundle().manifest


def test_same_is_exactly_at_or_below_the_threshold(manifest: Manifest) -> None:
    policy = Policy(manifest)
    threshold = policy.operating_point().threshold
    assert policy.decide(threshold).same
    assert not policy.decide(np.nextafter(threshold, 2)).same
    assert policy.decide(0.0).same


def test_the_level_is_the_callers_else_the_services_else_the_bundles(manifest: Manifest) -> None:
    assert Policy(manifest).decide(0.1).operating_point.fmr == 0.01
    assert Policy(manifest, 0.1).decide(0.1).operating_point.fmr == 0.1
    assert Policy(manifest, 0.1).decide(0.1, 0.01).operating_point.fmr == 0.01


def test_a_level_without_data_is_refused(manifest: Manifest) -> None:
    with pytest.raises(LevelNotSupported):
        Policy(manifest).decide(0.1, 0.001)
    with pytest.raises(BundleError, match=r"does not support FMR 0\.001, only: 0\.1, 0\.01"):
        Policy(manifest, 0.001)


def test_a_bundle_without_operating_points_is_refused(manifest: Manifest) -> None:
    with pytest.raises(BundleError, match="never calibrated"):
        Policy(msgspec.structs.replace(manifest, calibration=None))


def test_the_estimate_never_tells_less_than_was_measured(manifest: Manifest) -> None:
    policy = Policy(manifest)
    impostors = makers.simulated_scores().impostor_distances
    for distance in np.linspace(impostors.min(), impostors.max() * 1.1, 500):
        share = float(np.mean(impostors <= distance))
        estimate = policy.decide(float(distance)).fmr_estimate
        assert not estimate.at_most
        assert share * 0.995 <= estimate.value <= share * 1.15 + 1 / len(impostors)
        assert estimate.ci95[0] <= estimate.value <= estimate.ci95[1]


def test_closer_than_every_stranger_is_at_most_what_the_closest_allows(manifest: Manifest) -> None:
    impostors = makers.simulated_scores().impostor_distances
    estimate = Policy(manifest).decide(float(impostors.min()) - 1e-6).fmr_estimate
    assert estimate.at_most
    assert estimate.value == estimate.ci95[1] >= 3 / len(impostors)
    nearest = Policy(manifest).decide(float(impostors.min())).fmr_estimate
    assert (nearest.at_most, nearest.ci95[1]) == (False, estimate.value)
    assert estimate.ci95[0] == 0


def test_the_level_of_several_comparisons_is_shared_among_them(manifest: Manifest) -> None:
    """Counted: of sets of n simulated strangers, no more than the level has one below the threshold."""
    policy = Policy(manifest)
    impostors = makers.simulated_scores().impostor_distances
    rng = np.random.default_rng(4)
    for comparisons in (2, 5, 9):
        point = policy.operating_point(0.1, comparisons)
        share = float(np.mean(impostors <= point.threshold))
        assert 0.8 * 0.1 / comparisons <= share <= 0.1 / comparisons  # the tail's points lie a tenth apart
        sets = rng.choice(impostors, (20_000, comparisons))
        assert float(np.mean((sets <= point.threshold).any(axis=1))) <= 0.1
        assert point.fmr == 0.1
        assert point.fmr_ci95[0] <= comparisons * share <= point.fmr_ci95[1]


def test_the_fnmr_of_several_comparisons_is_that_of_their_threshold(manifest: Manifest) -> None:
    genuine = makers.simulated_scores().genuine_distances
    point = Policy(manifest).operating_point(0.1, 9)
    missed = float(np.mean(genuine > point.threshold))
    assert missed <= point.fnmr <= missed + 0.1
    assert point.fnmr >= Policy(manifest).operating_point(0.1).fnmr


def test_one_comparison_is_decided_as_ever_and_a_shared_level_never_looser(manifest: Manifest) -> None:
    policy = Policy(manifest)
    assert policy.operating_point(0.1, 1) == policy.operating_point(0.1)
    assert policy.operating_point(0.1, 10).threshold == policy.operating_point(0.01).threshold
    thresholds = [policy.operating_point(0.1, comparisons).threshold for comparisons in range(1, 20)]
    assert thresholds == sorted(thresholds, reverse=True)


def test_a_share_that_the_data_cannot_support_is_refused(manifest: Manifest) -> None:
    policy = Policy(manifest)  # 40 people, so 780 pairs of people: three of them are 1 in 260
    policy.operating_point(0.1, 26)
    with pytest.raises(LevelNotSupported):
        policy.operating_point(0.1, 27)
    with pytest.raises(LevelNotSupported):
        policy.decide(0.1, 0.01, 3)


def test_the_estimate_of_several_comparisons_is_a_bound(manifest: Manifest) -> None:
    policy = Policy(manifest)
    distance = policy.operating_point(0.01).threshold
    one, five = policy.decide(distance, 0.1).fmr_estimate, policy.decide(distance, 0.1, 5).fmr_estimate
    assert (one.at_most, five.at_most) == (False, True)
    assert five.value == pytest.approx(5 * one.value)
    assert five.ci95 == pytest.approx((one.ci95[0], 5 * one.ci95[1]))
    assert policy.decide(99.0, 0.1, 5).fmr_estimate.value == 1


def test_a_picture_with_a_warning_has_the_rates_of_such_pictures(manifest: Manifest) -> None:
    calibration = manifest.calibration
    assert calibration is not None
    point = calibration.operating_points[0.01]
    turned, blurred = (
        msgspec.structs.replace(point, measured_on=warning, measured_fmr=fmr, fmr_ci95=(fmr / 2, fmr * 2))
        for warning, fmr in (("head_turned", 0.05), ("blurred", 0.02))
    )
    levels = [
        msgspec.structs.replace(level, with_warning=(turned, blurred)) if level.fmr == 0.01 else level
        for level in calibration.levels
    ]
    changed = msgspec.structs.replace(calibration, levels=tuple(levels))
    policy = Policy(msgspec.structs.replace(manifest, calibration=changed))
    distance = point.threshold / 2
    assert policy.decide(distance).operating_point == point
    assert policy.decide(distance, warnings=["dark"]).operating_point == point
    assert policy.decide(distance, warnings=["blurred"]).operating_point == blurred
    assert policy.decide(distance, warnings=["blurred", "head_turned"]).operating_point == turned
    assert policy.decide(distance, 0.1, warnings=["blurred"]).operating_point.measured_on == "all"
    for warnings in ([], ["head_turned"]):  # the rates differ, the decision never does
        for near in (point.threshold, np.nextafter(point.threshold, 2)):
            assert policy.decide(near, warnings=warnings).same == policy.decide(near).same
