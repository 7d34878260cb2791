"""People and their photos in a database, encrypted: written, read, erased, each change audited; compares no vector."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import msgspec

from app.gallery import audit
from app.gallery.database import Connection, Database, Row, of_gallery
from app.gallery.keyed_hashes import KeyedHashes
from app.gallery.records import (
    DamagedError,
    GalleryFull,
    GalleryUnavailable,
    Limits,
    NewPhoto,
    Person,
    PersonNotFound,
    Photo,
    PhotoNotFound,
    PreconditionFailed,
    Profile,
    Quality,
    Receipt,
    to_text,
    to_time,
)
from app.gallery.sealing import Sealing, new_key, wipe
from app.malformed_json import MALFORMED

_PERSON = "person_id, key, profile, created_at, updated_at, expires_at, revision"
_PHOTO = "photo_id, contract_id, enrolled_at, quality, warnings"
_HERE = "(expires_at IS NULL OR expires_at > ?)"
"""Whoever's time is over is not found any more, and erased soon."""


@dataclass(frozen=True)
class Page:
    """`next_after`: the id to go on after; None where nobody follows."""

    people: tuple[Person, ...]
    next_after: str | None


@dataclass(frozen=True)
class Register:
    """Every change is one transaction with one entry of the audit, whose number is the gallery's revision.

    All of it raises GalleryUnavailable while the database cannot be used; changes of a person raise DamagedError where
    the person's key was damaged, erasing does not. Where the master key was changed since this was opened, it raises
    GalleryUnavailable, but for erasing: what would be sealed now, nobody could ever open. It also does where another
    gallery has come into the database: our hashes in its audit would be wrong. `clock` gives the time in UTC.
    """

    database: Database
    master: Sealing
    hashes: KeyedHashes
    limits: Limits
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def put(
        self, person_id: str, profile: Profile, expires_at: datetime | None, caller: str, if_match: str | None = None
    ) -> tuple[Person, bool]:
        """Makes or changes a person; True where made. The same again changes nothing.

        `if_match`: the revision that the person must have, or `*` for any. Raises PreconditionFailed, GalleryFull;
        PersonNotFound where `expires_at` has passed, and then changes nothing.
        """

        def work(connection: Connection) -> tuple[Person, bool]:
            before = self._find(connection, person_id)
            _require_match(before, if_match)
            until = to_text(expires_at) if expires_at else None
            if before is None:
                self._add_person(connection, person_id, profile, until, caller, "put")
            elif (self._person(connection, before).profile, before[5]) != (profile, until):
                self._change_person(connection, before, profile, until, caller)
            return self.person_with_photos(connection, person_id), before is None

        return self.database.write(work)

    def person(self, person_id: str) -> Person:
        """Raises PersonNotFound."""
        return self.database.read(lambda connection: self.person_with_photos(connection, person_id))

    def people(self, limit: int, after: str = "", prefix: str = "") -> Page:
        """At most so many, by id, whose id follows `after` and begins with `prefix`; without their photos."""

        def work(connection: Connection) -> list[Person]:
            rows = connection.execute(
                f"SELECT {_PERSON} FROM people WHERE person_id > ? AND person_id >= ? AND person_id < ? "  # noqa: S608
                f"AND {_HERE} ORDER BY person_id LIMIT ?",
                (after, prefix, prefix + "\x7f", self._now(), limit + 1),
            )
            return [self._person(connection, row) for row in rows]

        people = self.database.read(work)
        return Page(tuple(people[:limit]), people[limit - 1].person_id if len(people) > limit else None)

    def enrol(
        self,
        person_id: str,
        photos: Sequence[NewPhoto],
        contract_id: str,
        caller: str,
        outcome: str,
        *,
        makes: bool = True,
    ) -> None:
        """Adds photos, all or none. A photo that is there already changes nothing.

        `makes`: whether to make the person if need be; else it raises PersonNotFound. Raises GalleryFull.
        """

        def work(connection: Connection) -> None:
            person = self._find(connection, person_id)
            if person is None and not makes:
                raise PersonNotFound
            known = {photo[0] for photo in self._photo_rows(connection, person_id) if photo[1] == contract_id}
            new = [photo for photo in photos if photo.photo_id not in known]
            if len(known) + len(new) > self.limits.photos:
                raise GalleryFull
            if not new:
                return
            if person is None:
                self._add_person(connection, person_id, Profile(), None, caller, "enrol", outcome)
            else:
                self._touch(connection, person_id, caller, "enrol", outcome)
            self._add_photos(connection, person_id, new, contract_id)

        self.database.write(work)

    def erase(self, person_id: str, caller: str, if_match: str | None = None) -> Receipt:
        """Erases a person with all photos. Raises PersonNotFound, PreconditionFailed."""

        def work(connection: Connection) -> Receipt:
            person = self._find(connection, person_id)
            _require_match(person, if_match)
            if person is None:
                raise PersonNotFound
            return self._erase(connection, person_id, caller, "erase")

        return self.database.write(work)

    def erase_photo(self, person_id: str, photo_id: str, caller: str) -> Receipt:
        """Erases a photo of a person, with any bundle. Raises PersonNotFound, PhotoNotFound."""

        def work(connection: Connection) -> Receipt:
            if self._find(connection, person_id) is None:
                raise PersonNotFound
            if "\0" in photo_id:  # which no photo has, and PostgreSQL does not take
                raise PhotoNotFound
            erased = connection.erase(
                "DELETE FROM photos WHERE person_id = ? AND photo_id = ? RETURNING photo_id", (person_id, photo_id)
            )
            if not erased:
                raise PhotoNotFound
            number = self._touch(connection, person_id, caller, "erase_photo", "erased")
            return Receipt(person_id, 1, self.clock(), number)

        return self.database.write(work)

    def erase_expired(self) -> list[Receipt]:
        """Erases everybody whose time is over."""

        def work(connection: Connection) -> list[Receipt]:
            over = connection.execute("SELECT person_id FROM people WHERE expires_at <= ?", (self._now(),))
            return [self._erase(connection, person_id, "facepair", "expire") for (person_id,) in over]

        if not self.database.read(self._any_expired):
            return []
        return self.database.write(work)

    def enrolled(self, person_id: str, contract_id: str) -> Mapping[str, Photo] | None:
        """The person's photos with this bundle, by their ids; None where the person is not there."""

        def work(connection: Connection) -> tuple[Photo, ...] | None:
            there = self._find(connection, person_id)
            return self._photos(connection, person_id) if there else None

        photos = self.database.read(work)
        return None if photos is None else {each.photo_id: each for each in photos if each.contract_id == contract_id}

    def record(self, caller: str, action: str, outcome: str) -> int:
        """An entry of the audit that is about nobody in particular."""
        return self.database.write(lambda connection: self._audit(connection, caller, action, "", outcome))

    def person_with_photos(self, connection: Connection, person_id: str) -> Person:
        """As `person`, within a transaction."""
        row = self._find(connection, person_id)
        if row is None:
            raise PersonNotFound
        return self._person(connection, row, self._photos(connection, person_id))

    def opened(self, connection: Connection, key: bytes, person_id: str) -> Sealing:
        """Raises DamagedError, or GalleryUnavailable where only the master key is another by now."""
        try:
            return self.master.opened(key, "key", person_id)
        except DamagedError:
            require_ours(connection, self.master, self.hashes)
            raise

    def _any_expired(self, connection: Connection) -> bool:
        return bool(connection.execute("SELECT 1 FROM people WHERE expires_at <= ? LIMIT 1", (self._now(),)))

    def _now(self) -> str:
        return to_text(self.clock())

    def _find(self, connection: Connection, person_id: str) -> Row | None:
        rows = connection.execute(
            f"SELECT {_PERSON} FROM people WHERE person_id = ? AND {_HERE}",  # noqa: S608
            (person_id, self._now()),
        )
        return rows[0] if rows else None

    def _person(self, connection: Connection, row: Row, photos: tuple[Photo, ...] = ()) -> Person:
        person_id, key, sealed, created_at, updated_at, expires_at, revision = row
        try:
            sealing = self.opened(connection, key, person_id)
            profile = Profile(**json.loads(sealing.open(sealed, "profile", person_id)))
            times = to_time(created_at), to_time(updated_at), to_time(expires_at) if expires_at else None
        except DamagedError:
            return Person(person_id, None, None, None, None, revision, photos)
        return Person(person_id, profile, *times, revision, photos)

    def _photos(self, connection: Connection, person_id: str) -> tuple[Photo, ...]:
        """Without those that are damaged."""
        photos = []
        for row in self._photo_rows(connection, person_id):
            with suppress(DamagedError):
                photos.append(_photo(row))
        return tuple(photos)

    def _photo_rows(self, connection: Connection, person_id: str) -> list[Row]:
        """None of a person who expired, whether erased by now or not."""
        return connection.execute(
            f"SELECT {_PHOTO} FROM photos JOIN people USING (person_id) "  # noqa: S608
            f"WHERE person_id = ? AND {_HERE} ORDER BY enrolled_at, photo_id",
            (person_id, self._now()),
        )

    def _add_person(
        self,
        connection: Connection,
        person_id: str,
        profile: Profile,
        until: str | None,
        caller: str,
        action: str,
        outcome: str = "created",
    ) -> None:
        if connection.execute("SELECT 1 FROM people WHERE person_id = ?", (person_id,)):
            # Only who knows that the clock is right erases.
            raise GalleryUnavailable("a person of this id is over; a running service erases them within a minute")
        require_ours(connection, self.master, self.hashes)
        [(people,)] = connection.execute("UPDATE gallery SET people = people + 1 RETURNING people")
        if people > self.limits.people:
            raise GalleryFull
        number = self._audit(connection, caller, action, person_id, outcome)
        key, now = new_key(), self._now()
        sealed = self.master.seal(key, "key", person_id), _sealed_profile(Sealing(key), person_id, profile)
        wipe(key)
        connection.execute(
            f"INSERT INTO people ({_PERSON}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            (person_id, *sealed, now, now, until, number),
        )

    def _change_person(
        self, connection: Connection, before: Row, profile: Profile, until: str | None, caller: str
    ) -> None:
        person_id, key = before[:2]
        sealed = _sealed_profile(self.opened(connection, key, person_id), person_id, profile)
        connection.erase(
            "UPDATE people SET profile = ?, expires_at = ? WHERE person_id = ?", (sealed, until, person_id)
        )
        self._touch(connection, person_id, caller, "put", "changed")

    def _touch(self, connection: Connection, person_id: str, caller: str, action: str, outcome: str) -> int:
        number = self._audit(connection, caller, action, person_id, outcome)
        connection.execute(
            "UPDATE people SET updated_at = ?, revision = ? WHERE person_id = ?", (self._now(), number, person_id)
        )
        return number

    def _add_photos(self, connection: Connection, person_id: str, photos: Sequence[NewPhoto], contract_id: str) -> None:
        [(key,)] = connection.execute("SELECT key FROM people WHERE person_id = ?", (person_id,))
        sealing = self.opened(connection, key, person_id)
        for photo in photos:
            connection.execute(
                "INSERT INTO photos (person_id, photo_id, contract_id, vector, enrolled_at, quality, warnings) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    person_id,
                    photo.photo_id,
                    contract_id,
                    sealing.seal(photo.vector, *vector_context(person_id, photo.photo_id, contract_id)),
                    to_text(photo.enrolled_at) if photo.enrolled_at else self._now(),
                    json.dumps(dict(photo.quality)),
                    json.dumps(photo.warnings),
                ),
            )

    def _erase(self, connection: Connection, person_id: str, caller: str, action: str) -> Receipt:
        photos = connection.erase("DELETE FROM photos WHERE person_id = ? RETURNING photo_id", (person_id,))
        connection.erase("DELETE FROM people WHERE person_id = ?", (person_id,))
        connection.execute("UPDATE gallery SET people = people - 1")
        erased = len({photo_id for (photo_id,) in photos})
        number = self._audit(connection, caller, action, person_id, f"erased {erased} photos")
        return Receipt(person_id, erased, self.clock(), number)

    def _audit(self, connection: Connection, caller: str, action: str, person_id: str, outcome: str) -> int:
        with suppress(DamagedError):  # with the old master key only who erases comes here; the hashes are the same then
            _require_same(connection, self.master, self.hashes)
        return audit.append(connection, self.hashes, self.clock(), caller, action, person_id, outcome)


def require_ours(connection: Connection, master: Sealing, hashes: KeyedHashes) -> None:
    """Raises GalleryUnavailable where the master key was changed since, or another gallery is in the place of ours."""
    try:
        _require_same(connection, master, hashes)
    except DamagedError as error:
        raise GalleryUnavailable("the master key was changed: start this service anew with it") from error


def _require_same(connection: Connection, master: Sealing, hashes: KeyedHashes) -> None:
    """Raises GalleryUnavailable where another gallery is in the place of ours; DamagedError with another master key."""
    (secrets,) = of_gallery(connection, "secrets")
    if not hashes.same_as(KeyedHashes.unsealed(master, secrets)):
        raise GalleryUnavailable("another gallery is in the place of this one: start this service anew")


def vector_context(person_id: str, photo_id: str, contract_id: str) -> tuple[str, ...]:
    """What a vector is sealed for: nowhere else does it open."""
    return "vector", person_id, photo_id, contract_id


def _sealed_profile(sealing: Sealing, person_id: str, profile: Profile) -> bytes:
    return sealing.seal(json.dumps(asdict(profile)).encode(), "profile", person_id)


def _photo(row: Row) -> Photo:
    """Raises DamagedError."""
    photo_id, contract_id, enrolled_at, quality, warnings = row
    try:
        measured = msgspec.json.decode(quality, type=Quality)
        warned = msgspec.json.decode(warnings, type=tuple[str, ...])
    except MALFORMED as error:
        raise DamagedError from error
    return Photo(photo_id, contract_id, to_time(enrolled_at), msgspec.structs.asdict(measured), warned)


def _require_match(person: Row | None, if_match: str | None) -> None:
    if if_match is not None and (person is None or if_match not in ("*", str(person[6]))):
        raise PreconditionFailed
