"""What a gallery promises, on both stores."""

import json
import threading
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from galleries import CONTRACT, QUALITY, START, Galleries, enrol, photo, put, vector

from app.gallery import index as index_module
from app.gallery.database import Connection, Row
from app.gallery.gallery import open_database
from app.gallery.records import (
    ContractMismatch,
    GalleryError,
    GalleryFull,
    GalleryUnavailable,
    Limits,
    PersonNotFound,
    PhotoNotFound,
    PreconditionFailed,
    Profile,
)
from app.gallery.rotation import rotate
from app.gallery.sealing import Sealing
from app.gallery.transfer import export
from model.embedding.embedder import distances


def test_a_person_is_what_was_put(galleries: Galleries) -> None:
    gallery = galleries.open()
    profile = Profile("Анна", {"desk": [1, 2, {"floor": None}]}, "form 7")
    person, made = gallery.register.put("E1", profile, START + timedelta(days=1), "anna")
    assert made
    assert (person.profile, person.expires_at, person.created_at, person.photos) == (
        profile, START + timedelta(days=1), START, (),
    )  # fmt: skip
    assert gallery.register.person("E1") == galleries.open().register.person("E1") == person


def test_the_same_put_again_changes_nothing_and_another_changes_the_revision(galleries: Galleries) -> None:
    gallery = galleries.open()
    first, _ = gallery.register.put("E1", Profile("A"), None, "anna")
    galleries.wait(hours=1)
    again, made = gallery.register.put("E1", Profile("A"), None, "anna")
    assert (again, made) == (first, False)
    other, made = gallery.register.put("E1", Profile("B"), None, "anna")
    assert (other.revision > first.revision, other.created_at, other.updated_at, made) == (
        True, START, START + timedelta(hours=1), False,
    )  # fmt: skip


def test_a_change_may_depend_on_what_the_caller_saw(galleries: Galleries) -> None:
    register = galleries.open().register
    for absent in ("*", "1"):
        with pytest.raises(PreconditionFailed):
            register.put("E1", Profile(), None, "anna", if_match=absent)
        with pytest.raises(PreconditionFailed):
            register.erase("E1", "anna", if_match=absent)
    seen = str(register.put("E1", Profile(), None, "anna")[0].revision)
    register.put("E1", Profile("B"), None, "anna", if_match=seen)
    with pytest.raises(PreconditionFailed):
        register.put("E1", Profile("C"), None, "anna", if_match=seen)
    with pytest.raises(PreconditionFailed):
        register.erase("E1", "anna", if_match=seen)
    assert register.person("E1").profile == Profile("B")
    register.erase("E1", "anna", if_match="*")


def test_photos_are_listed_and_the_same_photo_again_changes_nothing(galleries: Galleries) -> None:
    gallery = galleries.open()
    first = photo("ph_1", vector(1), ["blurred"])
    gallery.register.enrol("E1", [first], CONTRACT, "anna", "enrolled")
    revision = gallery.index.counts().revision
    galleries.wait(hours=1)
    gallery.register.enrol("E1", [first], CONTRACT, "anna", "enrolled")
    [listed] = gallery.register.person("E1").photos
    assert (listed.photo_id, listed.contract_id, listed.enrolled_at, listed.quality, listed.warnings) == (
        "ph_1", CONTRACT, START, QUALITY, ("blurred",),
    )  # fmt: skip
    assert gallery.index.counts().revision == revision


def test_the_limits_hold_and_what_is_over_changes_nothing(galleries: Galleries) -> None:
    gallery = galleries.open(limits=Limits(people=2, photos=3))
    enrol(gallery, "E1", 1, 2)
    with pytest.raises(GalleryFull):
        enrol(gallery, "E1", 3, 4)
    enrol(gallery, "E1", 2, 3)
    put(gallery, "E2")
    with pytest.raises(GalleryFull):
        enrol(gallery, "E3", 5)
    with pytest.raises(GalleryFull):
        put(gallery, "E3")
    counts = gallery.index.counts()
    assert (counts.people, counts.photos) == (2, 3)


def test_people_of_an_older_schema_are_counted(galleries: Galleries) -> None:
    gallery = galleries.open()
    for name in ("E1", "E2", "E3"):
        put(gallery, name)
    gallery.register.erase("E2", "anna")

    def make_old(connection: Connection) -> None:
        connection.execute("ALTER TABLE gallery DROP COLUMN people")
        connection.execute("DELETE FROM migrations WHERE number = 2")

    gallery.register.database.write(make_old)
    gallery = galleries.open(limits=Limits(people=3))
    put(gallery, "E4")
    with pytest.raises(GalleryFull):
        put(gallery, "E5")


def test_an_erased_person_is_gone_at_once_and_may_come_again(galleries: Galleries) -> None:
    gallery, replica = galleries.open(), galleries.open()
    enrol(gallery, "E1", 1, 2)
    enrol(gallery, "E2", 3)
    assert replica.index.search(vector(1), 1).matches[0].person_id == "E1"
    galleries.wait(minutes=5)
    receipt = gallery.register.erase("E1", "anna")
    assert (receipt.person_id, receipt.photos_erased, receipt.erased_at) == ("E1", 2, START + timedelta(minutes=5))
    for each in (gallery, replica):
        assert [match.person_id for match in each.index.search(vector(1), 10).matches] == ["E2"]
        assert each.index.search_person(vector(1), "E1") is None
        with pytest.raises(PersonNotFound):
            each.register.person("E1")
    with pytest.raises(PersonNotFound):
        gallery.register.erase("E1", "anna")
    enrol(gallery, "E1", 1)
    assert replica.index.search(vector(1), 1).matches[0].distance == 0


def test_a_photo_is_erased_alone(galleries: Galleries) -> None:
    gallery, replica = galleries.open(), galleries.open()
    enrol(gallery, "E1", 1, 2)
    assert replica.index.counts().photos == 2
    assert gallery.register.erase_photo("E1", "ph_1", "anna").photos_erased == 1
    match = replica.index.search_person(vector(1), "E1")
    assert match is not None
    assert (match.photo_id, match.photos) == ("ph_2", 1)
    for gone in ("ph_1", "\0"):
        with pytest.raises(PhotoNotFound):
            gallery.register.erase_photo("E1", gone, "anna")
    with pytest.raises(PersonNotFound):
        gallery.register.erase_photo("E2", "ph_1", "anna")


def test_a_search_finds_the_nearest_as_brute_force_does(galleries: Galleries) -> None:
    gallery = galleries.open()
    owners = {seed: f"E{seed % 7}" for seed in range(40)}
    for seed, person_id in owners.items():
        enrol(gallery, person_id, seed)
    for query in (vector(1000), vector(1001) * 3, vector(5)):
        each = {seed: float(distances(vector(seed), query)) for seed in owners}
        best = {person: min(each[seed] for seed in owners if owners[seed] == person) for person in owners.values()}
        expected = sorted(best.items(), key=lambda item: (item[1], item[0]))
        found = gallery.index.search(query, 4).matches
        assert [(match.person_id, match.distance) for match in found] == expected[:4]
        assert [each[int(match.photo_id.removeprefix("ph_"))] for match in found] == [d for _, d in expected[:4]]
        assert [match.photos for match in found] == [
            sum(owner == match.person_id for owner in owners.values()) for match in found
        ]


def test_a_search_at_once_finds_what_a_search_does_and_reads_nothing(
    galleries: Galleries, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery, replica = galleries.open(), galleries.open()
    for seed in range(5):
        enrol(gallery, f"E{seed}", seed)
    replica.index.refresh()
    expected = replica.index.search(vector(3), 2)
    with monkeypatch.context() as unreadable:
        unreadable.setattr(replica.register.database, "read", None)
        assert replica.index.search_at_once(vector(3), 2) == expected
        assert replica.index.search_refreshed([vector(3)], 2) == [expected]
    gallery.register.erase("E3", "anna")
    replica.index.refresh()
    found = replica.index.search_at_once(vector(3), 9)
    assert found is not None
    assert "E3" not in {match.person_id for match in found.matches}


def test_whoever_is_enrolled_is_in_this_memory_at_once(galleries: Galleries) -> None:
    gallery = galleries.open()
    counts = gallery.enrol("E1", [photo("ph_1", vector(1))], CONTRACT, "anna", "enrolled")
    found = gallery.index.search_at_once(vector(1), 1)
    assert found is not None
    assert (found.counts, found.matches[0].person_id) == (counts, "E1")
    assert gallery.enrol("E2", [], CONTRACT, "anna", "enrolled") == counts


def test_a_search_at_once_waits_for_nobody(galleries: Galleries, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for who uses the vectors, nor for more of them than a moment takes."""
    index = galleries.open().index
    enrol(galleries.open(), "E1", 1)
    assert index.counts().people == 1
    with index._using:
        assert index.search_at_once(vector(1), 1) is None
    assert index.search_at_once(vector(1), 1) is not None
    monkeypatch.setattr(index_module, "_AT_ONCE_BYTES", vector(1).nbytes - 1)
    assert index.search_at_once(vector(1), 1) is None


def test_a_face_that_many_have_is_not_searched_at_once(galleries: Galleries, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands within reach once took the event loop for tens of milliseconds."""
    gallery = galleries.open()
    for number in range(5):
        gallery.register.enrol(f"E{number}", [photo("ph_1", vector(1))], CONTRACT, "anna", "enrolled")
    enrol(gallery, "E9", 9)
    gallery.index.refresh()
    monkeypatch.setattr(index_module, "_AT_ONCE_ROWS", 4)
    assert gallery.index.search_at_once(vector(1), 1) is None
    assert gallery.index.search_at_once(vector(9), 1) == gallery.index.search(vector(9), 1)
    [found] = gallery.index.search_refreshed([vector(1)], 9)
    assert [match.distance for match in found.matches[:5]] == [0] * 5
    monkeypatch.setattr(index_module, "_AT_ONCE_ROWS", 5)
    assert gallery.index.search_at_once(vector(1), 1) == gallery.index.search(vector(1), 1)


def test_changes_taken_in_halfway_are_not_searched(galleries: Galleries, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery, replica = galleries.open(), galleries.open()
    for seed in range(4):
        enrol(gallery, f"E{seed}", seed)
    load, parts = replica.index._load, iter(range(2))

    def load_two(rows: list[Row]) -> None:
        if next(parts, None) is None:
            raise GalleryUnavailable
        load(rows)

    monkeypatch.setattr(index_module, "_REVISIONS_AT_ONCE", 1)
    with monkeypatch.context() as going_away:
        going_away.setattr(replica.index, "_load", load_two)
        with pytest.raises(GalleryUnavailable):
            replica.index.refresh()
        with pytest.raises(GalleryUnavailable):
            replica.index.search_refreshed([vector(3)], 9)
    assert replica.index.search_at_once(vector(3), 9) is None
    [found] = replica.index.search_refreshed([vector(3)], 9)
    assert {match.person_id for match in found.matches} == {"E0", "E1", "E2", "E3"}


def test_changes_are_read_while_those_before_are_taken_in(
    galleries: Galleries, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery, replica = galleries.open(), galleries.open()
    for seed in range(3):
        enrol(gallery, f"E{seed}", seed)
    read, load, ahead = replica.index._read_changed, replica.index._load, threading.Semaphore(0)
    still_to_read = iter([2, 1, 0])

    def read_and_tell(connection: Connection, since: int) -> list[Row]:
        ahead.release()
        return read(connection, since)

    def load_once_the_next_is_read(rows: list[Row]) -> None:
        assert all(ahead.acquire(timeout=10) for _ in range(next(still_to_read)))
        load(rows)

    monkeypatch.setattr(index_module, "_REVISIONS_AT_ONCE", 1)
    monkeypatch.setattr(replica.index, "_read_changed", read_and_tell)
    monkeypatch.setattr(replica.index, "_load", load_once_the_next_is_read)
    assert replica.index.counts().people == 3


def test_each_person_is_searched_among_all_others(galleries: Galleries) -> None:
    gallery = galleries.open()
    for seed in range(12):
        enrol(gallery, f"E{seed:02}", seed)
    put(gallery, "E99")
    searched, counts = gallery.index.search_each(100)
    assert len(searched) == 12
    for person_id, match in searched:
        mine = int(person_id.removeprefix("E"))
        others = {seed: float(distances(vector(seed), vector(mine))) for seed in range(12) if seed != mine}
        assert match.distance == min(others.values())
        assert others[int(match.photo_id.removeprefix("ph_"))] == match.distance
    assert counts.people == 13
    assert 3 <= len(gallery.index.search_each(4)[0]) <= 4


def test_an_empty_gallery_finds_nobody(galleries: Galleries) -> None:
    gallery = galleries.open()
    assert gallery.index.search(vector(1), 3).matches == []
    put(gallery, "E1")
    assert gallery.index.search(vector(1), 3).matches == []
    assert gallery.index.search_each(10)[0] == []


def test_whoever_expires_is_not_found_and_then_erased(galleries: Galleries) -> None:
    gallery, replica = galleries.open(), galleries.open()
    put(gallery, "E1", until=START + timedelta(hours=1))
    enrol(gallery, "E1", 1)
    enrol(gallery, "E2", 2)
    assert gallery.register.erase_expired() == []
    galleries.wait(hours=1)
    for each in (gallery, replica):
        assert [match.person_id for match in each.index.search(vector(1), 9).matches] == ["E2"]
        with pytest.raises(PersonNotFound):
            each.register.person("E1")
        assert [person.person_id for person in each.register.people(10).people] == ["E2"]
    galleries.wait(hours=-1)  # the clock had jumped, and nobody was lost by that
    assert gallery.index.search(vector(1), 1).matches[0].person_id == "E1"
    galleries.wait(hours=2)
    [receipt] = gallery.register.erase_expired()
    assert (receipt.person_id, receipt.photos_erased) == ("E1", 1)
    galleries.wait(hours=-2)
    assert replica.index.counts().people == 1
    with pytest.raises(PersonNotFound):
        gallery.register.person("E1")


def test_the_id_of_somebody_expired_is_free_again_once_they_are_erased(galleries: Galleries) -> None:
    """Not before: whether the clock is right knows who erases, and erasing cannot be undone."""
    gallery = galleries.open()
    put(gallery, "E1", "old", until=START + timedelta(hours=1))
    enrol(gallery, "E1", 1)
    galleries.wait(hours=2)
    with pytest.raises(GalleryUnavailable):
        put(gallery, "E1", "new")
    with pytest.raises(GalleryUnavailable):
        enrol(gallery, "E1", 2)
    galleries.wait(hours=-2)
    assert gallery.register.person("E1").profile == Profile("old")
    galleries.wait(hours=2)
    gallery.register.erase_expired()
    put(gallery, "E1", "new")
    person = gallery.register.person("E1")
    assert (person.profile, person.photos, person.expires_at) == (Profile("new"), (), None)


def test_photos_of_somebody_expired_count_as_no_longer_there(galleries: Galleries) -> None:
    """They once kept a photo of the same file from being enrolled again, and the answer said that it was there."""
    gallery = galleries.open(limits=Limits(photos=2))
    enrol(gallery, "E1", 1, 2)
    put(gallery, "E1", until=START + timedelta(hours=1))
    assert set(gallery.register.enrolled("E1", CONTRACT) or ()) == {"ph_1", "ph_2"}
    assert gallery.index.search_person(vector(1), "E1") is not None
    galleries.wait(hours=1)
    assert gallery.register.enrolled("E1", CONTRACT) is None
    assert gallery.index.search_person(vector(1), "E1") is None
    gallery.register.erase_expired()
    enrol(gallery, "E1", 1, 3)
    assert set(gallery.register.enrolled("E1", CONTRACT) or ()) == {"ph_1", "ph_3"}
    assert gallery.register.person("E1").expires_at is None


def test_people_come_by_id_in_pages_that_do_not_shift(galleries: Galleries) -> None:
    gallery = galleries.open()
    for name in ("b", "B", "a-1", "a.2", "a_3", "c"):
        put(gallery, name)
    page = gallery.register.people(2)
    put(gallery, "A")  # before what was read already
    gallery.register.erase("a-1", "anna")
    for name in ("a-0", "a_4"):  # before, and after what was read
        put(gallery, name)
    seen = [person.person_id for person in page.people]
    while page.next_after is not None:
        page = gallery.register.people(2, page.next_after)
        seen += [person.person_id for person in page.people]
    assert seen == ["B", "a-1", "a.2", "a_3", "a_4", "b", "c"]
    assert [p.person_id for p in gallery.register.people(9, prefix="a").people] == ["a-0", "a.2", "a_3", "a_4"]
    assert gallery.register.people(9, prefix="a", after="a.2").people[0].person_id == "a_3"


def test_another_bundle_finds_nothing_until_photos_are_enrolled_again(galleries: Galleries) -> None:
    enrol(galleries.open(), "E1", 1, 2)
    enrol(galleries.open(), "E2", 3)
    other = galleries.open(contract_id="sha256:other", dimension=4)
    counts = other.index.counts()
    assert (counts.people, counts.photos, counts.stale) == (2, 0, 3)
    with pytest.raises(ContractMismatch):
        other.index.search(vector(1, 4), 1)
    with pytest.raises(ContractMismatch):
        other.index.search_person(vector(1, 4), "E1")
    again = [photo(f"ph_{seed}", vector(seed, 4)) for seed in (1, 2)]
    other.register.enrol("E1", again, "sha256:other", "anna", "enrolled")
    found = other.index.search_person(vector(1, 4), "E1")
    assert found is not None
    assert found.distance == 0
    with pytest.raises(ContractMismatch):
        other.index.search(vector(1, 4), 1)
    other.register.erase("E2", "anna")
    assert other.index.search(vector(2, 4), 1).matches[0].photo_id == "ph_2"
    assert {each.contract_id for each in other.register.person("E1").photos} == {CONTRACT, "sha256:other"}
    assert galleries.open().index.search(vector(1), 1).matches[0].person_id == "E1"
    assert other.register.erase_photo("E1", "ph_1", "anna").photos_erased == 1
    assert len(other.register.person("E1").photos) == 2


def test_a_wrong_master_key_stops_the_start(galleries: Galleries) -> None:
    enrol(galleries.open(), "E1", 1)
    with pytest.raises(GalleryError, match="does not hold the key that this gallery was made with"):
        galleries.open(key=bytes(32))
    assert galleries.open().index.counts().people == 1


def test_a_newer_schema_stops_the_start(galleries: Galleries) -> None:
    gallery = galleries.open()
    gallery.register.database.write(
        lambda connection: connection.execute("INSERT INTO migrations (number) VALUES (999)")
    )
    with pytest.raises(GalleryError, match="newer Facepair"):
        galleries.open()


@pytest.mark.parametrize("damage", ["vector", "moved", "key", "profile"])
def test_what_is_damaged_is_named_and_the_rest_is_served(galleries: Galleries, damage: str) -> None:
    gallery = galleries.open()
    put(gallery, "E1", "A")
    enrol(gallery, "E1", 1)
    enrol(gallery, "E2", 2, 3)
    statement = {
        "vector": "UPDATE photos SET vector = zero WHERE photo_id = 'ph_2'",
        "moved": "UPDATE photos SET vector = (SELECT vector FROM photos WHERE photo_id = 'ph_3') "
        "WHERE photo_id = 'ph_2'",
        "key": "UPDATE people SET key = zero WHERE person_id = 'E2'",
        "profile": "UPDATE people SET profile = zero WHERE person_id = 'E2'",
    }[damage]
    gallery.register.database.write(
        lambda connection: connection.execute(
            statement.replace("zero", "?"), (bytes(60),) if "zero" in statement else ()
        )
    )
    damaged = {"vector": ["ph_2"], "moved": ["ph_2"], "key": ["ph_2", "ph_3"], "profile": []}[damage]
    restarted = galleries.open()
    assert restarted.index.counts().damaged == tuple(("E2", photo_id) for photo_id in damaged)
    assert restarted.index.search(vector(1), 1).matches[0].person_id == "E1"
    found = {match.photo_id for match in restarted.index.search(vector(3), 2).matches}
    assert ("ph_3" in found) == (damage != "key")
    profiles = {person.person_id: person.profile for person in restarted.register.people(9).people}
    assert profiles == {"E1": Profile("A"), "E2": None if damage in ("key", "profile") else Profile()}
    restarted.register.erase("E2", "anna")
    assert restarted.index.counts().damaged == ()


def test_a_vector_that_is_not_finite_is_damaged_and_hides_nobody(galleries: Galleries) -> None:
    gallery = galleries.open()
    for seed in range(20):
        enrol(gallery, f"E{seed}", seed)
    gallery.register.enrol("E99", [photo("ph_nan", vector(1) * np.float32("nan"))], CONTRACT, "anna", "enrolled")
    for each in (gallery, galleries.open()):
        found = [each.index.search(vector(seed), 1).matches[0].person_id for seed in range(20)]
        assert found == [f"E{seed}" for seed in range(20)]
        assert each.index.counts().damaged == (("E99", "ph_nan"),)
        assert each.index.search_person(vector(1), "E99") is None
    gallery.register.erase("E99", "anna")
    assert gallery.index.counts().damaged == ()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("people.created_at", "garbage"),
        ("people.updated_at", "2026-03-01"),
        ("people.expires_at", "zz"),
        ("photos.enrolled_at", "x"),
        ("photos.quality", "{"),
        ("photos.quality", "{}"),
        ("photos.warnings", "[1"),
        ("photos.warnings", "[1]"),
    ],
)
def test_a_damaged_value_is_left_out_and_the_rest_is_served(galleries: Galleries, column: str, value: str) -> None:
    gallery = galleries.open()
    put(gallery, "E1", "A", until=START + timedelta(hours=1))
    enrol(gallery, "E1", 1)
    enrol(gallery, "E2", 2)
    table, name = column.split(".")
    statement = f"UPDATE {table} SET {name} = ? WHERE person_id = 'E1'"  # noqa: S608
    gallery.register.database.write(lambda connection: connection.execute(statement, (value,)))
    restarted = galleries.open()
    of_the_person = table == "people" and value != "2026-03-01"
    assert restarted.index.search(vector(2), 1).matches[0].person_id == "E2"
    assert restarted.index.counts().damaged == ((("E1", "ph_1"),) if name == "expires_at" else ())
    first, second = restarted.register.people(9).people
    assert (first.person_id, first.profile is None, second.profile) == ("E1", of_the_person, Profile())
    assert len(restarted.register.person("E1").photos) == (table == "people")
    exported = [json.loads(line) for line in export(restarted.register)]
    assert [(person["person_id"], len(person["photos"])) for person in exported] == (
        [] if of_the_person else [("E1", int(table == "people"))]
    ) + [("E2", 1)]
    assert restarted.register.erase("E1", "anna").photos_erased == 1


def test_text_that_is_no_utf8_is_damage_of_one_value(tmp_path: Path) -> None:
    galleries = Galleries(f"sqlite:///{tmp_path / 'gallery.db'}")
    gallery = galleries.open()
    put(gallery, "E1")
    enrol(gallery, "E2", 2)
    gallery.register.database.write(
        lambda connection: connection.execute(
            "UPDATE people SET updated_at = CAST(x'ff41' AS TEXT) WHERE person_id = 'E1'"
        )
    )
    people = galleries.open().register.people(9).people
    assert [(person.person_id, person.profile) for person in people] == [("E1", None), ("E2", Profile())]


def test_a_service_that_has_the_master_key_of_before_seals_nothing_with_it(galleries: Galleries) -> None:
    gallery = galleries.open()
    put(gallery, "E1", "A")
    enrol(gallery, "E4", 4)
    gallery.index.counts()
    rotate(gallery.register, Sealing(bytes(32)))
    for change in (
        lambda: put(gallery, "E1", "B"),
        lambda: put(gallery, "E2"),
        lambda: enrol(gallery, "E1", 1),
        lambda: enrol(gallery, "E3", 3),
        lambda: gallery.register.person("E1"),
        lambda: gallery.register.people(9),
        lambda: gallery.index.search(vector(4), 1),
        lambda: gallery.index.search_person(vector(4), "E4"),
        gallery.index.counts,
    ):
        with pytest.raises(GalleryUnavailable):
            change()
    anew = galleries.open(key=bytes(32))
    profiles = {person.person_id: person.profile for person in anew.register.people(9).people}
    assert profiles == {"E1": Profile("A"), "E4": Profile()}
    assert gallery.register.erase("E1", "anna").photos_erased == 0


def test_whoever_is_erased_while_photos_are_under_way_is_not_made_again(galleries: Galleries) -> None:
    gallery = galleries.open()
    put(gallery, "E1")
    gallery.register.erase("E1", "anna")
    with pytest.raises(PersonNotFound):
        gallery.register.enrol("E1", [photo("ph_1", vector(1))], CONTRACT, "anna", "enrolled", makes=False)
    assert gallery.register.people(9).people == ()


def test_an_older_copy_of_the_database_is_noticed(galleries: Galleries) -> None:
    gallery = galleries.open()
    enrol(gallery, "E1", 1)
    enrol(gallery, "E2", 2)
    database = gallery.register.database
    last = database.read(lambda connection: connection.execute("SELECT mac FROM audit WHERE number = 1"))
    assert gallery.index.counts().people == 2

    def restore(connection: object) -> None:
        for statement in (
            "DELETE FROM photos WHERE person_id = 'E2'",
            "DELETE FROM people WHERE person_id = 'E2'",
            "DELETE FROM audit WHERE number = 2",
        ):
            connection.execute(statement)  # type: ignore[attr-defined]
        connection.execute("UPDATE gallery SET revision = 1, head = ?", last[0])  # type: ignore[attr-defined]

    database.write(restore)
    assert [match.person_id for match in gallery.index.search(vector(2), 5).matches] == ["E1"]


def test_a_url_of_no_store_is_refused() -> None:
    for url in ("mysql://x", "sqlite:///", "gallery.db", ""):
        with pytest.raises(GalleryError, match="neither sqlite"):
            open_database(url)
