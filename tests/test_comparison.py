from pathlib import Path

import makers
import numpy as np
import pytest

from model import metrics
from model.comparison import compare
from model.data import load
from model.embedder import Embedder
from model.scoring import score_all_pairs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return makers.write_people(tmp_path / "people", people=6, pictures=3)


def test_both_bundles_are_measured_on_the_pictures_that_both_can_use(folder: Path) -> None:
    one, two = (Embedder(makers.make_bundle(f"b{seed}", seed=seed)) for seed in (0, 1))
    whole = load(folder, one.faces)
    (folder / "p2" / "2.pgm").write_bytes(b"P5 broken")
    lacking = load(folder, two.faces)
    found = compare(one, whole, two, lacking)
    assert (found.genuine_pairs, found.impostor_pairs) == (5 * 3 + 1, 17 * 16 // 2 - 16)
    expected = [metrics.curve(score_all_pairs(each, lacking)).eer for each in (one, two)]
    first, second, gap = found.figures["equal error rate"]
    assert [first.value, second.value] == pytest.approx(expected)
    assert gap.value == pytest.approx(expected[1] - expected[0])
    assert gap.ci95[0] <= gap.ci95[1]


def test_a_bundle_does_not_differ_from_itself(folder: Path) -> None:
    embedder = Embedder(makers.make_bundle())
    dataset = load(folder, embedder.faces)
    gaps = [gap for _, _, gap in compare(embedder, dataset, embedder, dataset).figures.values()]
    assert np.all([[gap.value, *gap.ci95] == [0, 0, 0] for gap in gaps])
