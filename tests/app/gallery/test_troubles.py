"""A full disk, two writers, clocks that jump, many photos, many people: what was answered holds.

With `GALLERY_PEOPLE=100000` in the environment, so many people.
"""

import asyncio
import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from galleries import KEY, Galleries, enrol, put, vector

from app import gallery_setup
from app.gallery import audit
from app.gallery.database import Connection
from app.gallery.expiry import Expiry
from app.gallery.gallery import Gallery
from app.gallery.keyed_hashes import KeyedHashes
from app.gallery.records import GalleryFull, GalleryUnavailable, Limits
from app.gallery.sealing import Sealing, new_key
from app.inference.in_threads import InThreads

MANY = int(os.environ.get("GALLERY_PEOPLE", "10000"))


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """As on a full disk: what would grow a file fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_on_a_full_disk_writes_are_refused_whole_and_searches_go_on(tmp_path: Path) -> None:
    galleries = Galleries(f"sqlite:///{tmp_path / 'gallery.db'}")
    gallery = galleries.open()
    enrol(gallery, "E1", 1)
    before = gallery.index.counts()
    largest = max(path.stat().st_size for path in tmp_path.iterdir())
    refused = 0
    with no_file_larger_than(largest):
        for number in range(2, 50):
            try:
                enrol(gallery, f"E{number}", number)
            except GalleryUnavailable:
                refused += 1
        assert refused > 0
        assert gallery.index.search(vector(1), 1).matches[0].person_id == "E1"
    there = {person.person_id for person in gallery.register.people(100).people}
    assert len(there) == before.people + 48 - refused
    enrol(gallery, "E99", 99)  # there is room again
    again = galleries.open()
    assert {person.person_id for person in again.register.people(100).people} == there | {"E99"}
    assert again.index.counts().damaged == ()
    assert_whole(again)
    galleries.close()


def assert_whole(gallery: Gallery) -> None:
    register = gallery.register
    entries = register.database.read(lambda connection: list(audit.verify(connection, register.hashes)))
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))


def test_a_file_that_was_away_for_a_moment_takes_changes_again(tmp_path: Path) -> None:
    path = tmp_path / "gallery.db"
    gallery = Galleries(f"sqlite:///{path}").open()
    enrol(gallery, "E1", 1)
    kept = path.rename(tmp_path / "kept.db")
    path.write_bytes(b"a backup that is still being copied" * 100)
    for change in (gallery.register.database.tidy, lambda: enrol(gallery, "E2", 2)):
        with pytest.raises(GalleryUnavailable):
            change()
    kept.rename(path)
    enrol(gallery, "E2", 2)
    assert gallery.index.search(vector(2), 1).matches[0].person_id == "E2"


def test_two_writers_at_once_lose_nothing(galleries: Galleries) -> None:
    writers = [galleries.open(), galleries.open()]
    faults: list[Exception] = []

    def write(gallery: Gallery, first: int) -> None:
        try:
            for number in range(first, first + 20):
                enrol(gallery, f"E{number}", number)
                enrol(gallery, "shared", 100 + number % 10)  # both want the same person
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=write, args=(gallery, 20 * n)) for n, gallery in enumerate(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    for gallery in writers:
        counts = gallery.index.counts()
        assert (counts.people, counts.photos) == (41, 50)
        assert gallery.index.search(vector(39), 1).matches[0].person_id == "E39"
    assert_whole(writers[0])


@pytest.mark.parametrize(
    ("away", "back"),
    [
        ("ALTER TABLE photos RENAME TO put_away", "ALTER TABLE put_away RENAME TO photos"),
        (
            "ALTER TABLE photos RENAME COLUMN quality TO put_away",
            "ALTER TABLE photos RENAME COLUMN put_away TO quality",
        ),
    ],
)
def test_what_is_missing_during_a_restore_is_a_database_that_cannot_be_used_now(
    galleries: Galleries, away: str, back: str
) -> None:
    gallery = galleries.open()
    enrol(gallery, "E1", 1)
    gallery.register.database.write(lambda connection: connection.execute(away))
    for use in (lambda: gallery.register.person("E1"), lambda: enrol(gallery, "E2", 2)):
        with pytest.raises(GalleryUnavailable):
            use()
    gallery.register.database.write(lambda connection: connection.execute(back))
    enrol(gallery, "E2", 2)
    assert gallery.index.counts().photos == 2


def test_tables_that_a_restore_has_not_filled_yet_are_a_database_that_cannot_be_used_now(galleries: Galleries) -> None:
    gallery = galleries.open()
    enrol(gallery, "E1", 1)
    write = gallery.register.database.write
    write(lambda connection: connection.execute("CREATE TABLE put_away AS SELECT * FROM gallery"))
    write(lambda connection: connection.execute("DELETE FROM gallery"))
    for use in (
        lambda: gallery.index.search(vector(1), 1),
        lambda: gallery.erase("E1", "anna"),
        lambda: enrol(gallery, "E2", 2),
        lambda: assert_whole(gallery),
    ):
        with pytest.raises(GalleryUnavailable):
            use()
    write(lambda connection: connection.execute("INSERT INTO gallery SELECT * FROM put_away"))
    enrol(gallery, "E2", 2)
    assert gallery.index.counts().photos == 2


def run_all(statements: list[str], connection: Connection) -> None:
    for statement in statements:
        connection.execute(statement)


PHOTOS = (
    ["CREATE TABLE photos_kept AS SELECT * FROM photos", "DELETE FROM photos"],
    ["INSERT INTO photos SELECT * FROM photos_kept"],
)
PEOPLE_AND_PHOTOS = (
    [*PHOTOS[0], "CREATE TABLE people_kept AS SELECT * FROM people", "DELETE FROM people"],
    ["INSERT INTO people SELECT * FROM people_kept", *PHOTOS[1]],
)


@pytest.mark.anyio
@pytest.mark.parametrize(("away", "back"), [PHOTOS, PEOPLE_AND_PHOTOS], ids=["photos", "people"])
async def test_whoever_looked_into_a_restore_that_was_not_done_finds_everybody_at_the_next_sweep(
    galleries: Galleries, away: list[str], back: list[str]
) -> None:
    """A restore fills the gallery's own table first, with the number of the last change."""
    filled, gallery, threads = galleries.open(), galleries.open(), InThreads(1)
    enrol(filled, "E1", 1, 2)
    put(filled, "E2")
    for statements in (away, back):
        filled.register.database.write(partial(run_all, statements))
        assert gallery.index.search(vector(1), 1).matches == []
    sweeper = asyncio.create_task(gallery_setup._sweep(gallery, threads))
    async with asyncio.timeout(60):
        while not (found := gallery.index.search(vector(1), 1)).matches:
            await asyncio.sleep(0.01)
    sweeper.cancel()
    await asyncio.wait([sweeper])
    threads.close()
    assert (found.counts.people, found.matches[0].photos) == (2, 2)


def test_another_gallery_that_took_the_place_of_this_one_is_left_alone(galleries: Galleries) -> None:
    """As after everything was dropped, and an export imported, while services went on."""
    ours = galleries.open()
    enrol(ours, "E1", 1)
    others = KeyedHashes.new()
    ours.register.database.write(
        lambda connection: connection.execute("UPDATE gallery SET secrets = ?", (others.sealed(Sealing(KEY)),))
    )
    for use in (
        lambda: ours.erase("E1", "anna"),
        lambda: enrol(ours, "E1", 2),
        lambda: put(ours, "E1", "A"),
        lambda: ours.register.record("anna", "export", "begun"),
        lambda: ours.index.search(vector(1), 1),
    ):
        with pytest.raises(GalleryUnavailable, match="another gallery"):
            use()
    anew = galleries.open()
    assert anew.index.search(vector(1), 1).matches[0].photos == 1
    assert anew.erase("E1", "anna").photos_erased == 1


def test_a_person_has_as_many_photos_as_the_limit_and_the_nearest_counts(galleries: Galleries) -> None:
    gallery = galleries.open(limits=Limits(people=10, photos=20))
    enrol(gallery, "E1", *range(20))
    with pytest.raises(GalleryFull):
        enrol(gallery, "E1", 20)
    enrol(gallery, "E2", 30)
    for seed in range(20):
        match = gallery.index.search(vector(seed), 2).matches[0]
        assert (match.person_id, match.photo_id, match.photos, match.distance) == ("E1", f"ph_{seed}", 20, 0)
    assert len(gallery.register.person("E1").photos) == 20
    assert gallery.register.erase("E1", "anna").photos_erased == 20
    assert gallery.index.counts().photos == 1


def test_a_clock_that_jumps_erases_nobody_until_it_goes_on_steadily(galleries: Galleries) -> None:
    gallery = galleries.open()
    put(gallery, "E1", until=galleries.now + timedelta(days=1))
    steady = 0.0
    expiry = Expiry(gallery.register, lambda: steady)
    assert expiry.sweep() == []
    galleries.wait(days=400)  # as a clock that is set wrong
    steady += 30
    assert expiry.sweep() == []
    galleries.wait(days=-400)
    steady += 30
    assert expiry.sweep() == []
    assert gallery.register.person("E1").person_id == "E1"
    galleries.wait(days=2)
    steady += 2 * 86_400
    assert [receipt.person_id for receipt in expiry.sweep()] == ["E1"]


def add_many(gallery: Gallery, count: int) -> None:
    """People without photos, in one transaction."""
    register = gallery.register
    key = new_key()
    profile = '{"display_name": null, "metadata": {}, "consent_reference": null}'
    now = "2026-03-01T12:00:00.000000Z"
    ids = [f"P{number:06}" for number in range(count)]
    rows = [
        (
            person,
            register.master.seal(key, "key", person),
            Sealing(key).seal(profile.encode(), "profile", person),
            now,
            now,
            number + 1,
        )
        for number, person in enumerate(ids)
    ]
    register.database.write(
        lambda connection: [
            connection.execute(
                "INSERT INTO people (person_id, key, profile, created_at, updated_at, revision) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
            for row in rows
        ]
    )


@pytest.mark.slow
def test_many_people_come_by_cursor_once_each_while_others_write(tmp_path: Path) -> None:
    galleries = Galleries(f"sqlite:///{tmp_path / 'gallery.db'}")
    gallery = galleries.open(limits=Limits(people=2 * MANY))
    add_many(gallery, MANY)
    rng = np.random.default_rng(0)
    seen: list[str] = []
    erased: set[str] = set()
    after: str | None = ""
    while after is not None:
        page = gallery.register.people(1000, after)
        seen += [person.person_id for person in page.people]
        after = page.next_after
        put(gallery, f"Q{len(seen)}")  # behind everybody
        put(gallery, f"A{len(seen)}")  # before everybody: too late for this reader
        gone = f"P{rng.integers(MANY):06}"
        if gone not in erased:
            erased.add(gone)
            gallery.register.erase(gone, "anna")
    assert len(seen) == len(set(seen))
    assert seen == sorted(seen)
    expected = {f"P{number:06}" for number in range(MANY)}
    assert expected - erased <= set(seen)
    assert set(seen) - expected <= {f"Q{number}" for number in range(MANY + 1000)}
    galleries.close()
