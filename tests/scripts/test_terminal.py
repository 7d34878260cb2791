"""A file is replaced whole, and what is written is nobody else's before."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import terminal


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("usual_umask")
@pytest.mark.parametrize(("asked", "given"), [(0o666, 0o644), (0o600, 0o600)])
def test_a_file_is_private_from_its_first_byte_where_that_is_asked(tmp_path: Path, asked: int, given: int) -> None:
    path = tmp_path / "new folder" / "all.ndjson"
    with terminal.replacing(path, asked) as file:
        assert os.fstat(file.fileno()).st_mode & 0o777 == given
        file.write(b"vectors")
    assert path.stat().st_mode & 0o777 == given
    assert path.read_bytes() == b"vectors"
    assert list(path.parent.iterdir()) == [path]


def test_nothing_that_others_put_into_the_folder_is_written_to(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "all.ndjson"
    victim.write_bytes(b"precious")
    (tmp_path / ".all.ndjson.partial").symlink_to(victim)
    path.symlink_to(victim)
    with terminal.replacing(path) as file:
        file.write(b"vectors")
    assert victim.read_bytes() == b"precious"
    assert not path.is_symlink()


def test_each_scratch_file_has_a_name_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "all.ndjson"
    with terminal.replacing(path), terminal.replacing(path):
        assert len(list(tmp_path.iterdir())) == 2


def test_a_file_that_was_there_stays_where_writing_fails(tmp_path: Path) -> None:
    def half() -> Iterator[bytes]:
        yield b"half"
        raise OSError("the disk is full")

    path = tmp_path / "all.ndjson"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="disk is full"), terminal.replacing(path) as file:
        file.writelines(half())
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
