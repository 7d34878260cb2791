import itertools
from dataclasses import replace
from pathlib import Path

import makers
import msgspec
import numpy as np
import pytest

from model.data import lfw_lists
from model.data.dataset import load
from model.data.people import DataError, PeopleFolder
from model.error_rates.intervals import Estimate
from model.error_rates.scores import curve
from model.evaluation.lfw_protocol import PairListFigures, accuracy_of_folds, best_threshold, figures, score
from model.faces.finder import WholePicture
from model.manifest import DataSource, Manifest
from model.reports import lfw_report
from model.training.tutorial import TUTORIAL_CROP

VIEW_1 = "2\nAnn 1 2\nBob 1 3\nAnn 1 Bob 1\nAnn 2 Cy_X 1\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_list_of_one_set_is_read_and_dealt_into_folds(tmp_path: Path) -> None:
    pairs = lfw_lists.read(write(tmp_path / "dev.txt", VIEW_1))
    assert pairs.first == (("Ann", 1), ("Bob", 1), ("Ann", 1), ("Ann", 2))
    assert pairs.second == (("Ann", 2), ("Bob", 3), ("Bob", 1), ("Cy_X", 1))
    assert pairs.genuine.tolist() == [True, True, False, False]
    assert pairs.fold.tolist() == [0, 1, 2, 3]
    assert pairs.pictures == [("Ann", 1), ("Ann", 2), ("Bob", 1), ("Bob", 3), ("Cy_X", 1)]


def test_a_list_of_folds_keeps_them(tmp_path: Path) -> None:
    body = VIEW_1.split("\n", 1)[1]
    pairs = lfw_lists.read(write(tmp_path / "pairs.txt", "3\t2\n" + body * 3))
    assert pairs.fold.tolist() == [0] * 4 + [1] * 4 + [2] * 4


@pytest.mark.parametrize("text", ["", "2\nAnn 1 2\n", "x\n", "1\nAnn 1\nAnn 1 Bob 1\n", "1\nAnn 1 2\nAnn 1 2\n"])
def test_anything_else_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"odd\.txt"):
        lfw_lists.read(write(tmp_path / "odd.txt", text))


def test_the_best_threshold_is_the_best_of_all_there_are() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        distance, genuine = np.round(rng.random(30), 1), rng.random(30) < 0.5
        found = np.mean((distance <= best_threshold(distance, genuine)) == genuine)
        brute = max(np.mean((distance <= t) == genuine) for t in np.linspace(-0.05, 1.05, 221) if t >= distance.min())
        assert found == brute


def test_each_fold_is_judged_at_the_others_threshold() -> None:
    distance = np.array([0.1, 0.2, 0.8, 0.9] * 2 + [0.1, 0.6, 0.4, 0.9])
    genuine = np.array([True, True, False, False] * 3)
    accuracy, error = accuracy_of_folds(distance, genuine, np.repeat([0, 1, 2], 4))
    # The third fold, judged at 0.5, has one error of each kind; the others, judged at 0.3 or so, have none.
    assert accuracy == pytest.approx((1 + 1 + 0.5) / 3)
    assert error == pytest.approx(np.std([1, 1, 0.5], ddof=1) / 3**0.5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ann and Bob, three pictures each, of which Ann's third is broken."""
    for name, number in itertools.product(("Ann", "Bob"), (1, 2, 3)):
        path = tmp_path / "people" / name / f"{name}_{number:04d}.pgm"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(makers.encoded(makers.face(len(name) + ord(name[0]), number), "PPM"))
    (tmp_path / "people/Ann/Ann_0003.pgm").write_bytes(b"P5 broken")
    return tmp_path / "people"


def test_pairs_that_lack_a_face_count_as_different(folder: Path) -> None:
    text = "3\nAnn 1 2\nAnn 1 3\nBob 1 2\nAnn 1 Bob 1\nAnn 3 Bob 2\nAnn 2 Bob 3\n"
    pairs = lfw_lists.read(write(folder / "list.txt", text))
    lfw_lists.require_files(PeopleFolder(folder), [pairs])
    dataset = load(PeopleFolder(folder), WholePicture(TUTORIAL_CROP))
    embeddings = (dataset.labels[:, np.newaxis] * [3.0, 4.0]).astype(np.float32)
    scores = score(dataset, embeddings, pairs)
    assert scores.distance.tolist() == [0, np.inf, 0, 5, np.inf, 5]
    assert (scores.first == scores.second).tolist() == [True, True, True, False, False, False]
    found = figures(makers.make_bundle().manifest, dataset, pairs, scores, chosen_on=scores)
    assert (found.pictures, found.pictures_without_face) == (6, 1)
    assert found.accuracy == pytest.approx(5 / 6)
    assert curve(scores).fnmr_at(1e-1) == pytest.approx(1 / 3)


def test_a_picture_that_is_no_file_is_a_fault_of_the_list_not_of_the_face(folder: Path) -> None:
    pairs = lfw_lists.read(write(folder / "list.txt", "2\nAnn 1 2\nBob 1 9\nAnn 1 Bob 1\nAnn 2 Cy_X 1\n"))
    with pytest.raises(DataError, match="2 of 5 pictures that the list names are not there, the first of them Bob/Bob"):
        lfw_lists.require_files(PeopleFolder(folder), [pairs])


def measured(folder: Path, manifest: Manifest, impostor_pairs: int) -> PairListFigures:
    """Ann and Bob perfectly told from each other, as many pairs of each kind."""
    half = impostor_pairs // 2
    rows = ["Ann 1 2", "Bob 1 2"] * half + ["Ann 1 Bob 1", "Ann 2 Bob 2"] * half
    pairs = lfw_lists.read(write(folder / "list.txt", f"{impostor_pairs}\n" + "\n".join(rows)))
    dataset = load(PeopleFolder(folder), WholePicture(TUTORIAL_CROP))
    scores = score(dataset, (dataset.labels[:, np.newaxis] * [3.0, 4.0]).astype(np.float32), pairs)
    return figures(manifest, dataset, pairs, scores)


@pytest.mark.parametrize(
    ("pairs", "levels"), [(4, []), (28, []), (30, [0.1]), (500, [0.1, 0.01]), (3000, [0.1, 0.01, 1e-3])]
)
def test_only_levels_that_the_pairs_reach_are_told(folder: Path, pairs: int, levels: list[float]) -> None:
    assert list(measured(folder, makers.make_bundle().manifest, pairs).fnmr_at) == levels


def test_two_people_without_an_error_prove_little(folder: Path) -> None:
    found = measured(folder, makers.make_bundle().manifest, 30)
    assert (found.eer.value, *found.eer.ci95) == (0, 0, 1)


def test_the_report_says_who_was_in_training_and_which_rates_are_uncertain(folder: Path) -> None:
    manifest = makers.make_bundle().manifest
    ann = DataSource("before", "0" * 64, 3, (" ".join(makers.known_by(folder / "Ann")),))
    seen = msgspec.structs.replace(manifest, training=msgspec.structs.replace(manifest.training, data=ann))
    for each, trained in ((manifest, 0), (seen, 1)):
        found = measured(folder, each, 30)
        assert (found.people, found.people_in_training, found.people_that_chose_thresholds) == (2, trained, 0)
        text = lfw_report.markdown(each, "list.txt", found, "command")
        assert f"2 people: {trained} of them were in training, 0 chose" in text
        assert ("expect worse" in text) is bool(trained)
        assert f"data sha256 `{load(PeopleFolder(folder), WholePicture(TUTORIAL_CROP)).source.sha256}`" in text
        assert "| equal error rate | 0 | 0 to 1 | 0 of 30: the rate is at most 0.1, were they independent |" in text
    few = replace(found, fnmr_at={0.1: Estimate(0.2, (0.1, 0.3))})
    assert "| FNMR at FMR 0.1 | 0.2 | 0.1 to 0.3 | 6, fewer than 30: uncertain |" in lfw_report.markdown(
        manifest, "list.txt", few, "command"
    )
