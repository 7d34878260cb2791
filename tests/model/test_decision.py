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
