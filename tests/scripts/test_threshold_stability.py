import sys
from pathlib import Path

import makers
import numpy as np
import pytest
import threshold_stability
from threshold_stability import Row

from model.data.dataset import Dataset
from model.data.splits import halves

PEOPLE = 80


def people_in_space() -> tuple[Dataset, np.ndarray]:
    """Two pictures a person, near each other, people anywhere in a cube."""
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(PEOPLE), 2)
    embeddings = rng.uniform(0, 1, (PEOPLE, 3))[labels] + rng.normal(0, 0.05, (2 * PEOPLE, 3))
    return makers.pairs_of_pictures(PEOPLE), embeddings.astype(np.float32)


def test_other_people_show_what_was_promised() -> None:
    dataset, embeddings = people_in_space()
    rng = np.random.default_rng(0)
    rows = [row for _ in range(6) for row in threshold_stability.split(dataset, embeddings, halves(PEOPLE, rng))]
    assert {row.asked for row in rows} == {0.1, 0.01}
    assert sum(row.fmr_as_promised for row in rows) >= len(rows) - 2
    assert sum(row.fnmr_as_promised for row in rows) >= len(rows) - 2


def test_each_level_is_a_line_of_counts() -> None:
    rows = [Row(0.1, 0.12, True, False, True), Row(0.1, 0.08, True, True, False), Row(0.01, 0.02, False, True, False)]
    lines = threshold_stability.summary(rows, splits=2).splitlines()
    assert lines[2] == "| 0.1 | 2 of 2 | 0.08 to 0.12 | 2 | 1 | 1 |"
    assert lines[3] == "| 0.01 | 1 of 2 | 0.02 to 0.02 | 0 | 1 | 0 |"


def test_who_is_to_be_left_out_has_to_be_there(
    tmp_path: Path, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = makers.write_people(tmp_path / "people", people=2, pictures=2)
    flags = ["--bundle", str(bundle_folder), "--data", str(data), "--without", "nobody"]
    monkeypatch.setattr(sys, "argv", ["threshold_stability.py", *flags])
    with pytest.raises(SystemExit):
        threshold_stability.main()
    assert f"nobody in {data} is called nobody" in capsys.readouterr().err
