"""A data set is any folder of classes: digits take the place of people."""

from dataclasses import replace

import digits
import pytest

from model.data.dataset import Dataset, load
from model.data.people import PeopleFolder
from model.faces.finder import WholePicture
from model.training.tutorial import TUTORIAL_CROP


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Twelve pictures of each digit."""
    folder = digits.write_digits(tmp_path_factory.mktemp("digits"))
    for home in folder.iterdir():
        for path in sorted(home.iterdir())[12:]:
            path.unlink()
    return load(PeopleFolder(folder), WholePicture(TUTORIAL_CROP), min_pictures=2)


def test_each_digit_is_held_out_once_and_never_trained_on(dataset: Dataset) -> None:
    recipe = replace(digits.RECIPE, genuine_pairs=400, impostor_pairs=400, epochs=1)
    results = list(digits.run_folds(dataset, recipe))
    assert sorted(digit for fold in results for digit in fold.never_seen) == list(range(10))
    assert {(fold.seen.people, fold.unseen.people) for fold in results} == {(8, 2)}
    text = digits.report(results)
    assert f"| genuine pairs | {sum(fold.seen.genuine_pairs for fold in results)} | {5 * 2 * 66} |" in text
    assert len(digits.plot(results[0], dataset.labels).axes[0].collections) == 10
