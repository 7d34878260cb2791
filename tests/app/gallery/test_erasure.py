"""After an erasure nothing of the person is left: in the file, beside it, or in the process."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from galleries import DIMENSION, Galleries, enrol, photo, put, vector

from app import gallery_setup
from app.gallery.expiry import Expiry
from app.gallery.gallery import Gallery
from app.gallery.rotation import rotate
from app.gallery.sealing import Sealing
from app.inference.in_threads import InThreads

ROOT = Path(__file__).parents[3]
WINDOW = 16


@pytest.fixture
def in_a_file(tmp_path: Path) -> Iterator[Galleries]:
    galleries = Galleries(f"sqlite:///{tmp_path / 'gallery.db'}")
    yield galleries
    galleries.close()


def rows_of(gallery: Gallery, person_id: str) -> list[bytes]:
    """Everything sealed that the database holds of a person."""
    blobs = gallery.register.database.read(
        lambda connection: (
            connection.execute("SELECT key, profile FROM people WHERE person_id = ?", (person_id,))
            + connection.execute("SELECT vector FROM photos WHERE person_id = ?", (person_id,))
        )
    )
    return [bytes(blob) for row in blobs for blob in row]


def traces(folder: Path, blobs: list[bytes]) -> int:
    """How many pieces of the blobs are in any file of the folder."""
    pieces = [blob[i : i + WINDOW] for blob in blobs for i in range(0, len(blob) - WINDOW + 1, WINDOW)]
    files = [path.read_bytes() for path in folder.iterdir()]
    return sum(piece in content for piece in pieces for content in files)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_sealed_is_left_in_the_file_or_its_log(in_a_file: Galleries, tmp_path: Path, seed: int) -> None:
    gallery = in_a_file.open()
    rng = np.random.default_rng(seed)
    for number in range(60):  # enough for the tree's pages to be split and merged
        put(gallery, f"E{rng.integers(1000)}", "x" * int(rng.integers(900)))
        enrol(gallery, f"E{rng.integers(1000)}", *range(number, number + int(rng.integers(1, 4))))
    people = gallery.register.people(1000).people
    for index in rng.permutation(len(people))[:40]:
        person_id = people[index].person_id
        blobs = rows_of(gallery, person_id)
        assert traces(tmp_path, blobs) > 0
        gallery.register.erase(person_id, "anna")
        assert traces(tmp_path, blobs) == 0


def test_nothing_of_an_erased_photo_or_a_changed_profile_is_left(in_a_file: Galleries, tmp_path: Path) -> None:
    gallery = in_a_file.open()
    put(gallery, "E1", "before")
    enrol(gallery, "E1", 1, 2)
    _, profile, *_ = rows_of(gallery, "E1")
    put(gallery, "E1", "after")
    assert traces(tmp_path, [profile]) == 0
    before = rows_of(gallery, "E1")
    gallery.register.erase_photo("E1", "ph_1", "anna")
    gone = [blob for blob in before if blob not in rows_of(gallery, "E1")]
    assert len(gone) == 1
    assert traces(tmp_path, gone) == 0


def test_only_what_erases_empties_the_log(in_a_file: Galleries, tmp_path: Path) -> None:
    gallery, log = in_a_file.open(), tmp_path / "gallery.db-wal"
    put(gallery, "E1")
    put(gallery, "E1")
    assert log.stat().st_size > 0
    put(gallery, "E1", "changed")
    assert log.stat().st_size == 0


@pytest.mark.anyio
async def test_who_reads_an_older_state_holds_up_no_change_and_the_log_is_emptied_afterwards(
    in_a_file: Galleries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without another change, and whichever process has erased."""
    monkeypatch.setattr(gallery_setup, "_SWEEP_SECONDS", 0.01)
    here, there, threads = in_a_file.open(), in_a_file.open(), InThreads(1)
    put(here, "E1", "somebody")
    enrol(here, "E1", 1)
    blobs = rows_of(here, "E1")
    backup = sqlite3.connect(tmp_path / "gallery.db", isolation_level=None)
    backup.execute("BEGIN")
    backup.execute("SELECT count(*) FROM people").fetchall()
    began = time.monotonic()
    there.erase("E1", "anna")
    for number in range(20):
        put(there, f"F{number}")
    assert time.monotonic() - began < 4
    sweeper = asyncio.create_task(gallery_setup._sweep(here, threads))
    await asyncio.sleep(0.3)
    assert traces(tmp_path, blobs) > 0
    backup.close()
    async with asyncio.timeout(60):
        while traces(tmp_path, blobs):
            await asyncio.sleep(0.01)
    sweeper.cancel()
    await asyncio.wait([sweeper])
    threads.close()


def test_a_log_left_by_a_kill_is_emptied_at_the_next_start(in_a_file: Galleries, tmp_path: Path) -> None:
    gallery = in_a_file.open()
    enrol(gallery, "E1", 1)
    assert (tmp_path / "gallery.db-wal").stat().st_size > 0
    in_a_file.open()
    assert (tmp_path / "gallery.db-wal").stat().st_size == 0


def test_no_vector_is_in_the_file_unsealed(in_a_file: Galleries, tmp_path: Path) -> None:
    values = vector(1)
    in_a_file.open().register.enrol("E1", [photo("ph_1", values)], "c", "anna", "enrolled")
    assert traces(tmp_path, [values.tobytes()]) == 0


CHILD = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
import numpy as np
from galleries import Galleries, photo, vector, DIMENSION
galleries = Galleries(sys.argv[1])
gallery = galleries.open()
values = np.empty(DIMENSION, np.float32)
with open(sys.argv[2], "rb", buffering=0) as file:
    file.readinto(values)
gallery.register.enrol("E1", [photo("ph_1", values)], "sha256:ours", "anna", "enrolled")
values.fill(0)
for seed in range(100):
    gallery.register.enrol(f"F{{seed}}", [photo(f"ph_{{seed}}", vector(seed))], "sha256:ours", "anna", "enrolled")
    gallery.index.search(vector(seed + 500), 3)
    gallery.index.search_person(vector(seed + 500), "E1")
gallery.index.search_each(1000)
galleries.open().index.search(vector(3), 3)
print("enrolled", flush=True)
sys.stdin.readline()
gallery.erase("E1", "anna")
for other in galleries._open[1:]:
    other.index.counts()
print("erased", flush=True)
sys.stdin.readline()
"""


def occurrences(pid: int, needle: bytes) -> int:
    """In all memory of a process that it can write to."""
    count = 0
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            start, end = (int(address, 16) for address in span.split("-"))
            if not rights.startswith("rw") or "[v" in line:
                continue
            memory.seek(start)
            count += memory.read(end - start).count(needle)
    return count


def test_the_process_forgets_the_vector(tmp_path: Path, new_url: Callable[[], str]) -> None:
    values = np.random.default_rng(99).normal(size=DIMENSION).astype(np.float32)
    (tmp_path / "vector").write_bytes(values.tobytes())
    url = new_url()
    command = [sys.executable, "-c", CHILD, url, str(tmp_path / "vector")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "enrolled\n"
        assert occurrences(child.pid, values.tobytes()[:WINDOW]) >= 2  # the scan would see it
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "erased\n"
        assert occurrences(child.pid, values.tobytes()[:WINDOW]) == 0
        child.kill()


def test_erasing_takes_a_vector_out_of_memory_without_another_request(galleries: Galleries) -> None:
    gallery = galleries.open()
    enrol(gallery, "E1", 1, 2)
    assert gallery.index.counts().photos == 2
    gallery.erase_photo("E1", "ph_2", "anna")
    assert len(gallery.index._matrix) == 1
    gallery.erase("E1", "anna")
    assert gallery.index._matrix.person_ids() == []


def test_a_service_with_the_master_key_of_before_forgets_whom_it_erases(galleries: Galleries) -> None:
    gallery = galleries.open()
    enrol(gallery, "E1", 1)
    enrol(gallery, "E2", 2, 3)
    assert gallery.index.counts().photos == 3
    rotate(gallery.register, Sealing(bytes(32)))
    gallery.erase("E1", "anna")
    gallery.erase_photo("E2", "ph_3", "anna")
    left = gallery.index._matrix._vectors.tobytes()
    assert not any(vector(erased).tobytes() in left for erased in (1, 3))


@pytest.mark.anyio
async def test_whoever_another_service_erased_leaves_the_memory_of_this_one(
    galleries: Galleries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the sweep before that met a fault of ours."""
    sweep, faults = Expiry.sweep, iter([ValueError("a row that nobody foresaw")])

    def sweep_after_a_fault(expiry: Expiry) -> object:
        for fault in faults:
            raise fault
        return sweep(expiry)

    monkeypatch.setattr(Expiry, "sweep", sweep_after_a_fault)
    monkeypatch.setattr(gallery_setup, "_SWEEP_SECONDS", 0.01)
    here, there, threads = galleries.open(), galleries.open(), InThreads(1)
    enrol(here, "E1", 1)
    assert here.index.counts().people == 1
    there.erase("E1", "anna")
    sweeper = asyncio.create_task(gallery_setup._sweep(here, threads))
    async with asyncio.timeout(60):
        while here.index._matrix.person_ids():
            await asyncio.sleep(0.01)
    sweeper.cancel()
    await asyncio.wait([sweeper])
    threads.close()


@pytest.mark.anyio
async def test_the_log_says_why_nobody_is_served(
    galleries: Galleries, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gallery_setup, "_SWEEP_SECONDS", 0.01)
    gallery, threads = galleries.open(), InThreads(1)
    rotate(gallery.register, Sealing(bytes(32)))
    sweeper = asyncio.create_task(gallery_setup._sweep(gallery, threads))
    async with asyncio.timeout(60):
        while "the master key was changed: start this service anew" not in caplog.text:
            await asyncio.sleep(0.01)
    sweeper.cancel()
    await asyncio.wait([sweeper])
    threads.close()
