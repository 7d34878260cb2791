"""The committed cards are what the generator gives, and the generator hides nothing."""

import card as script
import makers
import msgspec
import pytest

from model import bundle
from model.card import card
from model.manifest import DataSource, contract_id


@pytest.mark.parametrize("name", ["default", "tutorial"])
def test_the_committed_card_is_generated(name: str) -> None:
    folder = bundle.SHIPPED / name
    assert (folder / "card.md").read_text(encoding="utf-8") == script.text(folder)


def test_a_card_says_what_its_manifest_says() -> None:
    manifest = makers.make_bundle("tiny").manifest
    text = card(manifest, [])
    assert contract_id(manifest) in text
    assert "No liveness detection" in text
    assert "| 0.001 | not supported: 40 people, so 780 pairs of people; 3000 or more are needed | | | | |" in text
    assert manifest.calibration is not None
    point = manifest.calibration.levels[0].operating_point
    assert point is not None
    assert f"| 0.1 | {point.threshold:.6f} | " in text
    assert "The FNMRs are of other people" not in text


def test_lent_genuine_pairs_are_told_of() -> None:
    manifest = makers.make_bundle("tiny").manifest
    assert manifest.calibration is not None
    mine = msgspec.structs.replace(manifest.calibration, data=DataSource("ours", "1" * 64, 40, ("a", "b")))
    assert "The FNMRs are of other people: 40 genuine pairs of `simulated`." in card(
        msgspec.structs.replace(manifest, calibration=mine), []
    )


def test_an_uncalibrated_bundle_is_said_to_be() -> None:
    manifest = msgspec.structs.replace(makers.make_bundle("tiny").manifest, calibration=None)
    assert "never calibrated" in card(manifest, [])


def test_a_report_is_told_with_its_intervals() -> None:
    estimate = {"value": 0.02, "ci95": [0.01, 0.03]}
    report = {
        "data": {"people": ["a", "b"], "name": "others"}, "people_that_chose_thresholds": 0, "impostor_pairs": 4000,
        "genuine_pairs": 50, "eer": estimate, "rates": [{"level": 0.1, "fmr": estimate, "fnmr": estimate}],
    }  # fmt: skip
    text = card(makers.make_bundle("tiny").manifest, [report])
    assert (
        "On 2 people of `others`, who were in neither training nor calibration (4,000 impostor and 50 genuine" in text
    )
    assert "at the threshold for FMR 0.1: FMR 2 % (1 to 3 %), FNMR 2 % (1 to 3 %)." in text
