from pathlib import Path

import makers
import numpy as np
import pytest

from model.data.dataset import Dataset, Skipped, load
from model.data.people import LARGEST_FILE, DataError, PeopleFolder
from model.faces.finder import WholePicture
from model.images import decode
from model.training.tutorial import TUTORIAL_CROP

FACES = WholePicture(TUTORIAL_CROP)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return makers.write_people(tmp_path / "people", people=11, pictures=3)


def test_people_and_pictures_are_in_the_order_people_number_them(folder: Path) -> None:
    for number in range(4, 13):
        (folder / "p1" / f"{number}.pgm").write_bytes(makers.encoded(makers.face(0, number), "PPM"))
    dataset = load(PeopleFolder(folder), FACES)
    assert dataset.people == tuple(f"p{i}" for i in range(1, 12))
    assert np.bincount(dataset.labels).tolist() == [12] + [3] * 10
    for number in range(4, 13):
        np.testing.assert_array_equal(dataset.crops[number - 1, 0], makers.face(0, number)[::2, ::2])


def test_any_format_size_and_colour_will_do(folder: Path) -> None:
    colour = np.stack([makers.face(i, 0, 300, 200) for i in range(3)], axis=-1)
    for kind, name in [("PNG", "a.png"), ("JPEG", "b.jpeg"), ("WEBP", "c"), ("PPM", "d.ppm")]:
        (folder / "p1" / name).write_bytes(makers.encoded(colour, kind))
    dataset = load(PeopleFolder(folder), FACES)
    assert np.bincount(dataset.labels)[0] == 7
    assert dataset.skipped == ()


def test_training_and_serving_see_the_same_bytes(folder: Path) -> None:
    served = FACES.find(decode((folder / "p2" / "1.pgm").read_bytes())).crop
    assert load(PeopleFolder(folder), FACES).crops[3].tobytes() == served.tobytes()


def test_bad_pictures_and_lonely_people_are_listed_and_left_out(folder: Path) -> None:
    (folder / "p1" / "2.pgm").write_bytes(b"P5\n92 112\n255\n")
    (folder / "p2" / "notes.txt").write_text("hello")
    (folder / "p3" / ".hidden").write_text("hello")
    for number in (2, 3):
        (folder / "p4" / f"{number}.pgm").unlink()
    (folder / "empty").mkdir()
    (folder / "p5" / "gone.pgm").symlink_to("nowhere")
    (folder / "p5" / "device.pgm").symlink_to("/dev/null")
    with (folder / "p5" / "sparse.pgm").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    for name in ("1.pgm", "2.pgm", "3.pgm"):
        (folder / "p6" / name).write_bytes(b"P5 broken")
    dataset = load(PeopleFolder(folder), FACES, min_pictures=2)
    assert dataset.lost == (("p6", 3),)  # p4 has a good picture; an empty folder, or notes, lose nothing
    assert dataset.of([0, 1]).lost == ()
    assert set(dataset.skipped) == {
        Skipped(folder / "p1" / "2.pgm", "CorruptImage"),
        Skipped(folder / "p2" / "notes.txt", "UnsupportedFormat"),
        Skipped(folder / "p5" / "gone.pgm", "FileNotFoundError"),
        Skipped(folder / "p5" / "device.pgm", "NotAFile"),
        Skipped(folder / "p5" / "sparse.pgm", "FileTooLarge"),
        Skipped(folder / "p4", "TooFewPictures"),
        *(Skipped(folder / "p6" / name, "CorruptImage") for name in ("1.pgm", "2.pgm", "3.pgm")),
        Skipped(folder / "p6", "TooFewPictures"),
        Skipped(folder / "empty", "TooFewPictures"),
    }
    assert "p4" not in dataset.people
    assert np.bincount(dataset.labels).tolist() == [2] + [3] * 8


@pytest.mark.parametrize("people", [0, 1])
def test_too_few_people_are_a_clear_error(tmp_path: Path, people: int) -> None:
    makers.write_people(tmp_path / "people", people, 2)
    (tmp_path / "people" / "nobody").mkdir(parents=True)
    with pytest.raises(DataError, match=f"{people} people with 1 or more usable pictures, need two"):
        load(PeopleFolder(tmp_path / "people"), FACES)


@pytest.mark.parametrize("pictures", [0, 2])
def test_pictures_without_folders_of_people_are_a_clear_error(tmp_path: Path, pictures: int) -> None:
    for picture in range(pictures):
        (tmp_path / f"{picture}.pgm").write_bytes(makers.encoded(makers.face(picture), "PPM"))
    with pytest.raises(DataError, match=f"{tmp_path} holds no sub-folder of pictures a person"):
        PeopleFolder(tmp_path)


def test_its_digest_changes_with_any_picture(folder: Path) -> None:
    before = load(PeopleFolder(folder), FACES).source
    assert load(PeopleFolder(folder), FACES).source == before
    (folder / "p5" / "1.pgm").write_bytes(makers.encoded(makers.face(50), "PPM"))
    assert load(PeopleFolder(folder), FACES).source.sha256 != before.sha256


def test_a_subset_keeps_each_persons_pictures(folder: Path) -> None:
    dataset: Dataset = load(PeopleFolder(folder), FACES)
    subset = dataset.of([4, 1])
    assert subset.people == ("p5", "p2")
    assert subset.labels.tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(subset.crops, dataset.crops[[12, 13, 14, 3, 4, 5]])
