from dataclasses import replace
from pathlib import Path

import makers
import numpy as np
import pytest

from model.data.dataset import load
from model.data.people import PeopleFolder
from model.embedding.embedder import Embedder
from model.error_rates.scores import curve
from model.evaluation.comparison import compare
from model.evaluation.scoring import score_all_pairs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return makers.write_people(tmp_path / "people", people=6, pictures=3)


def test_both_bundles_are_measured_on_the_pictures_that_both_can_use(folder: Path) -> None:
    one, two = (Embedder(makers.make_bundle(f"b{seed}", seed=seed)) for seed in (0, 1))
    whole = load(PeopleFolder(folder), one.faces)
    (folder / "p2" / "2.pgm").write_bytes(b"P5 broken")
    lacking = load(PeopleFolder(folder), two.faces)
    found = compare(one, whole, two, lacking)
    assert (found.genuine_pairs, found.impostor_pairs) == (5 * 3 + 1, 17 * 16 // 2 - 16)
    expected = [curve(score_all_pairs(each, lacking)).eer for each in (one, two)]
    assert list(found.figures) == ["ROC AUC", "equal error rate", "FNMR at FMR 0.1"]  # of 120 impostor pairs
    first, second, gap = found.figures["equal error rate"]
    assert [first.value, second.value] == pytest.approx(expected)
    assert gap.value == pytest.approx(expected[1] - expected[0])
    assert gap.ci95[0] <= gap.ci95[1]


def test_a_bundle_does_not_differ_from_itself(folder: Path) -> None:
    embedder = Embedder(makers.make_bundle())
    dataset = load(PeopleFolder(folder), embedder.faces)
    gaps = [gap for _, _, gap in compare(embedder, dataset, embedder, dataset).figures.values()]
    assert np.all([[gap.value, *gap.ci95] == [0, 0, 0] for gap in gaps])


def test_two_bundles_without_an_error_may_still_differ(folder: Path) -> None:
    one, two = (Embedder(makers.make_bundle(f"b{seed}", seed=seed)) for seed in (0, 1))
    dataset = load(PeopleFolder(folder), one.faces)
    alike = replace(dataset, crops=dataset.crops[dataset.labels * 3])  # everybody's pictures are one picture
    for first, second, gap in compare(one, alike, two, alike).figures.values():
        assert first.value == second.value
        assert first.ci95[1] - first.ci95[0] == pytest.approx(3 / 6)
        assert (gap.value, *gap.ci95) == (0, -3 / 6, 3 / 6)
