import os
from pathlib import Path

import makers
import msgspec
import pytest

from model.data.people import LARGEST_FILE, DataError, FileTooLarge, Fingerprint, NotAFile, PeopleFolder, read_file
from model.manifest import DataSource


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return makers.write_people(tmp_path / "people", people=11, pictures=3)


def recorded(folder: Path, *names: str) -> DataSource:
    people = PeopleFolder(folder)
    return DataSource("earlier", "0" * 64, 0, tuple(people.fingerprint(name).recorded for name in names))


def test_people_are_known_by_their_pictures_not_by_names_or_order(folder: Path) -> None:
    before = recorded(folder, "p3", "p7")
    (folder / "p3" / "1.pgm").rename(folder / "p3" / "9.pgm")
    (folder / "p3").rename(folder / "p99")
    assert PeopleFolder(folder).known_to(before.digests) == {"p99", "p7"}


def test_one_more_or_one_less_picture_makes_nobody_unknown(folder: Path) -> None:
    before = recorded(folder, "p3", "p7")
    (folder / "p3" / "new.png").write_bytes(makers.encoded(makers.face(3, 50)))
    (folder / "p7" / "1.pgm").unlink()
    (folder / "p7" / "2.pgm").unlink()
    assert PeopleFolder(folder).known_to(before.digests) == {"p3", "p7"}
    (folder / "p7" / "3.pgm").write_bytes(makers.encoded(makers.face(7, 51), "PPM"))
    assert PeopleFolder(folder).known_to(before.digests) == {"p3"}  # no picture of p7's is left


def test_people_recorded_by_one_digest_of_all_their_files_are_known(folder: Path) -> None:
    """As bundles did before they recorded single pictures: the digest is derived here from its definition."""
    (folder / "p2" / "notes.txt").write_text("counted")
    (whole,) = (digest for digest in makers.known_by(folder / "p2") if len(digest) == 12)
    assert PeopleFolder(folder).known_to({whole}) == {"p2"}
    (folder / "p2" / "notes.txt").unlink()
    assert PeopleFolder(folder).known_to({whole}) == set()


def test_a_file_that_lies_beside_everybodys_pictures_makes_nobody_known(folder: Path) -> None:
    for person in folder.iterdir():
        (person / "LICENCE").write_text("the same everywhere")
    assert PeopleFolder(folder).known_to(recorded(folder, "p3").digests) == {"p3"}


def test_an_entry_is_the_digests_of_the_pictures_alone(folder: Path) -> None:
    expected = sorted(digest for digest in makers.known_by(folder / "p1") if len(digest) == 10)
    assert PeopleFolder(folder).fingerprint("p1").recorded.split(" ") == expected
    assert Fingerprint.of([]).recorded == ""


def test_files_that_cannot_be_read_are_left_out(folder: Path) -> None:
    before = recorded(folder, "p5")
    (folder / "p5" / "gone.pgm").symlink_to("nowhere")
    (folder / "p5" / "device.pgm").symlink_to("/dev/null")
    with (folder / "p5" / "sparse.pgm").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    assert recorded(folder, "p5") == before
    with pytest.raises(DataError, match="no folder"):
        PeopleFolder(folder / "nothing")


@pytest.mark.timeout(30)  # a pipe that nobody writes to was waited for
def test_only_files_of_a_pictures_size_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotAFile, match="pipe"):
        read_file(tmp_path / "pipe")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(FileTooLarge, match="sparse"):
        read_file(tmp_path / "sparse")


def test_the_files_are_read_once(folder: Path) -> None:
    people = PeopleFolder(folder)
    first = people.known_to(frozenset())
    for path in folder.glob("*/*"):
        path.unlink()
    assert people.known_to(recorded_digests := people.fingerprint("p4").pictures) == {"p4"}
    assert first == set()
    assert len(recorded_digests) == 3


def test_five_thousand_people_take_little_room_in_a_manifest() -> None:
    entries = tuple(" ".join(f"{person:06x}{picture:04x}" for picture in range(3)) for person in range(5000))
    source = DataSource("many", "0" * 64, 15_000, entries)
    text = msgspec.json.format(msgspec.json.encode(source), indent=1)
    assert len(text) < 200_000
    assert len(source.digests) == 15_000
