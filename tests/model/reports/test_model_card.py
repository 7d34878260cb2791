"""The committed cards are what the generator gives, and the generator hides nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import card as script
import makers
import msgspec
import pytest

from model import bundle
from model.manifest import DataSource, contract_id
from model.reports.model_card import card


@pytest.mark.parametrize("name", ["default", "tutorial"])
def test_the_committed_card_is_generated(name: str) -> None:
    folder = bundle.SHIPPED / name
    assert (folder / "card.md").read_text(encoding="utf-8") == script.text(folder)


def test_a_card_says_what_its_manifest_says() -> None:
    manifest = makers.make_bundle("tiny").manifest
    text = card(manifest, [])
    assert contract_id(manifest) in text
    assert "No liveness detection" in text
    assert "| 0.001 | not supported: 40 people, so 780 pairs of people; 3000 or more are needed |" in text
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


def report_of(folder: Path, name: str) -> Path:
    """A report of the bundle in `folder`, at its thresholds, as `evaluate.py` leaves it."""
    manifest = bundle.load(folder).manifest
    assert manifest.calibration is not None
    points = [level.operating_point for level in manifest.calibration.levels if level.operating_point]
    estimate = {"value": 0.02, "ci95": [0.01, 0.03]}
    path = folder / name / "report.json"
    path.parent.mkdir()
    path.write_text(json.dumps({
        "contract_id": contract_id(manifest), "data": {"people": ["a", "b"], "name": name},
        "people_that_chose_thresholds": 0, "impostor_pairs": 4000, "genuine_pairs": 50, "eer": estimate,
        "rates": [{"level": p.fmr, "threshold": p.threshold, "fmr": estimate, "fnmr": estimate} for p in points],
    }))  # fmt: skip
    return path


def test_reports_of_other_thresholds_are_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = makers.save_bundle(tmp_path / "tiny")
    report_of(folder, "fits")
    others = [report_of(folder, name) for name in ("moved", "finer", "empty", "other")]
    faults: list[Callable[[Any], object]] = [
        lambda report: report["rates"][0].update(threshold=report["rates"][0]["threshold"] + 1e-6),
        lambda report: report["rates"].append({**report["rates"][0], "level": 0.001}),
        lambda report: report["rates"].clear(),
        lambda report: report.update(contract_id="sha256:0"),
    ]
    for path, spoil in zip(others, faults, strict=True):
        report = json.loads(path.read_text())
        spoil(report)
        path.write_text(json.dumps(report))
    (folder / "pairs").mkdir()
    (folder / "pairs/report.json").write_text(json.dumps({"accuracy": 1}))  # of a list of pairs: no rates at all
    text = script.text(folder)
    assert [name for name in ("fits", "moved", "finer", "empty", "other") if f"`{name}`" in text] == ["fits"]
    told = capsys.readouterr().out.splitlines()
    assert sorted(told) == sorted(f"left out {p}: measured with another bundle or other thresholds" for p in others)


def test_a_card_counts_the_people_whom_the_start_had_seen() -> None:
    manifest = makers.make_bundle("tiny").manifest
    assert "had seen" not in card(manifest, [])
    training = msgspec.structs.replace(manifest.training, seen_before=("a", "b"))
    text = card(msgspec.structs.replace(manifest, training=training), [])
    assert "`none`; the weights it started from had seen 2 people |" in text


def test_a_card_says_that_the_people_behind_published_weights_are_not_known() -> None:
    manifest = makers.make_bundle("tiny").manifest
    assert "not published" not in card(manifest, [])
    training = msgspec.structs.replace(manifest.training, undisclosed=("SFace",))
    text = card(msgspec.structs.replace(manifest, training=training), [])
    assert "`none`; whom SFace learnt from is not published |" in text
    assert "**Whom SFace learnt from is not published**: people measured here may be among them" in text


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
