"""A gallery's vectors, decrypted in memory, as new as the last change of the database; decides nothing."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np

from app.gallery import audit
from app.gallery.database import Connection, Database, Row, of_gallery
from app.gallery.keyed_hashes import KeyedHashes
from app.gallery.matrix import Match, Matrix, Vector
from app.gallery.records import ContractMismatch, DamagedError, GalleryUnavailable, to_time
from app.gallery.register import require_ours, vector_context
from app.gallery.sealing import Sealing

_log = logging.getLogger("facepair")
_REVISIONS_AT_ONCE = 2000
"""As many changes are read in one statement: rows of a large gallery take memory, and a server's patience."""

_AT_ONCE_BYTES = 8 * 2**20
"""Of vectors: a core compares so many with a query in about half a millisecond."""
_AT_ONCE_ROWS = 256
"""As many within reach are compared exactly in another half: of a face that many have, there may be thousands."""


@dataclass(frozen=True)
class Counts:
    """`photos` can be compared; `stale` ones were enrolled with another bundle only.

    `damaged` ones do not open, or are not finite.
    """

    people: int
    photos: int
    revision: int
    stale: int
    damaged: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Found:
    """The nearest people, the nearest first, and the gallery that was searched."""

    matches: list[Match]
    counts: Counts


class Index:
    """Safe to use from many threads. Every answer holds what was written before it was asked for, by whomever.

    It raises GalleryUnavailable while the database cannot be used, and ContractMismatch as long as there are photos
    of another bundle only: a search would not find these people, and would not say so.
    """

    def __init__(
        self,
        database: Database,
        master: Sealing,
        hashes: KeyedHashes,
        contract_id: str,
        dimension: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._master = master
        self._hashes = hashes
        self._contract_id = contract_id
        self._clock = clock
        self._using = threading.Lock()
        self._matrix = Matrix(dimension)
        self._pseudonyms: dict[str, str] = {}
        self._stale: dict[str, int] = {}
        self._damaged: dict[str, list[str]] = {}
        self._revision, self._head = 0, audit.START
        self._whole = True  # but for a change that was taken in halfway, when the database went away

    def search(self, query: Vector, limit: int) -> Found:
        """Compares with everybody."""
        self.refresh()
        return self.search_refreshed([query], limit)[0]

    def search_refreshed(self, queries: Sequence[Vector], limit: int) -> list[Found]:
        """As search, among who was there at the last refresh or came since. Many at once cost less than one by one."""
        with self._refreshed():
            return self._found(queries, limit)

    def search_at_once(self, query: Vector, limit: int) -> Found | None:
        """As search_refreshed, where that takes less than a millisecond and waits for nobody; else None."""
        if query.nbytes * len(self._matrix) > _AT_ONCE_BYTES or not self._using.acquire(blocking=False):
            return None
        try:
            return self._found_at_once(query, limit) if self._whole else None
        finally:
            self._using.release()

    def search_person(self, query: Vector, person_id: str) -> Match | None:
        """Compares with one person; None where they have no photo, or have expired."""
        with self._current() as matrix:
            if person_id in self._stale:
                raise ContractMismatch
            return matrix.search_person(query, person_id, self._clock())

    def search_before_enrolling(self, query: Vector, person_id: str, limit: int) -> tuple[Match | None, Found]:
        """As search_person and as search, also where photos of another bundle are there: this may replace them."""
        with self._current() as matrix:
            now = self._clock()
            [matches] = matrix.search([query], limit, now)
            return matrix.search_person(query, person_id, now), Found(matches, self._counts())

    def search_each(self, most: int) -> tuple[list[tuple[str, Match]], Counts]:
        """Each person's nearest other; of more people than `most`, of so many, evenly spread."""
        with self._current() as matrix:
            if self._stale:
                raise ContractMismatch
            people = sorted(matrix.person_ids())
            chosen = people[:: -(-len(people) // most)] if people else []
            return list(matrix.search_each(chosen, self._clock())), self._counts()

    @property
    def damaged(self) -> bool:
        """Whether a photo is not compared, as far as the last look went."""
        return bool(self._damaged)

    def counts(self) -> Counts:
        with self._current():
            return self._counts()

    def refresh(self) -> None:
        """Takes in what has changed since the last time."""
        head = self._database.read(_head)  # outside the lock: who waits for the database holds nobody up
        with self._using:
            if head != self._head or not self._whole:
                self._database.read(self._follow)

    def recount(self) -> None:
        """Takes in everybody anew where the database holds more or fewer: a restore fills tables one after another,
        and whoever looked in between sees no change at its end.
        """
        head, people, photos = self._database.read(self._count)
        with self._using:
            damaged = sum(map(len, self._damaged.values()))
            if head == self._head and (people, photos) != (self._matrix.people, len(self._matrix) + damaged):
                self._forget_everybody()
                self._database.read(self._follow)

    def _count(self, connection: Connection) -> tuple[bytes, int, int]:
        [(people,)] = connection.execute("SELECT COUNT(*) FROM people")
        [(photos,)] = connection.execute("SELECT COUNT(*) FROM photos WHERE contract_id = ?", (self._contract_id,))
        return _head(connection), people, photos

    def _found(self, queries: Sequence[Vector], limit: int) -> list[Found]:
        if self._stale:
            raise ContractMismatch
        counts = self._counts()
        return [Found(matches, counts) for matches in self._matrix.search(queries, limit, self._clock())]

    def _found_at_once(self, query: Vector, limit: int) -> Found | None:
        if self._stale:
            raise ContractMismatch
        matches = self._matrix.search_few(query, limit, self._clock(), _AT_ONCE_ROWS)
        return None if matches is None else Found(matches, self._counts())

    def _counts(self) -> Counts:
        damaged = tuple((person_id, photo_id) for person_id, ids in self._damaged.items() for photo_id in ids)
        stale = sum(self._stale.values())
        return Counts(self._matrix.people, len(self._matrix), self._revision, stale, damaged)

    @contextmanager
    def _current(self) -> Iterator[Matrix]:
        self.refresh()
        with self._refreshed() as matrix:
            yield matrix

    @contextmanager
    def _refreshed(self) -> Iterator[Matrix]:
        with self._using:
            if not self._whole:
                self._database.read(self._follow)
            yield self._matrix

    def _follow(self, connection: Connection) -> None:
        """Takes in what has changed since; everything, where the database is not the one that it was."""
        revision, head = of_gallery(connection, "revision, head")
        mine = connection.execute("SELECT mac FROM audit WHERE number = ?", (self._revision,))
        self._whole = False
        try:
            require_ours(connection, self._master, self._hashes)  # else keys that were sealed anew would seem damaged
        except GalleryUnavailable:
            self._forget_everybody()  # nobody is found until the service is started anew, and each may be erased before
            raise
        if self._revision and mine != [(self._head,)]:
            self._forget_everybody()
        self._drop_erased(connection)
        with ThreadPoolExecutor(1) as ahead:
            for rows in self._changed(connection, revision, ahead):
                self._load(rows)
        self._revision, self._head, self._whole = revision, head, True

    def _drop_erased(self, connection: Connection) -> None:
        erased = connection.execute(
            "SELECT person FROM audit WHERE number > ? AND action IN (?, ?)", (self._revision, *audit.ERASED)
        )
        for (pseudonym,) in erased:
            if pseudonym in self._pseudonyms:
                self._forget(self._pseudonyms[pseudonym])

    def _changed(self, connection: Connection, until: int, ahead: Executor) -> Iterator[list[Row]]:
        """People who have changed since, with photos, in parts: the next one is read while one is taken in."""
        starts = range(self._revision, until, _REVISIONS_AT_ONCE)
        rows = self._read_changed(connection, starts[0]) if starts else []
        for start in starts[1:]:
            coming = ahead.submit(self._read_changed, connection, start)
            yield rows
            rows = coming.result()
        yield rows

    def _read_changed(self, connection: Connection, since: int) -> list[Row]:
        return connection.execute(
            "SELECT people.person_id, key, expires_at, photo_id, contract_id, "
            "CASE WHEN contract_id = ? THEN vector END FROM people LEFT JOIN photos "
            "ON photos.person_id = people.person_id WHERE revision > ? AND revision <= ? "
            "ORDER BY people.person_id, enrolled_at, photo_id",
            (self._contract_id, since, since + _REVISIONS_AT_ONCE),
        )

    def _load(self, rows: list[Row]) -> None:
        for (person_id, key, expires_at), photos in groupby(rows, key=itemgetter(0, 1, 2)):
            self._forget(person_id)
            self._pseudonyms[self._hashes.pseudonym(person_id)] = person_id
            self._load_photos(person_id, key, expires_at, [photo[3:] for photo in photos if photo[3] is not None])
        for person_id, photo_id in self._matrix.fill_rows():
            self._damage(person_id, photo_id)

    def _load_photos(self, person_id: str, key: bytes, expires_at: str | None, photos: list[Row]) -> None:
        mine = [(photo_id, vector) for photo_id, contract_id, vector in photos if contract_id == self._contract_id]
        stale = {photo_id for photo_id, _, _ in photos} - {photo_id for photo_id, _ in mine}
        if stale:
            self._stale[person_id] = len(stale)
        try:
            until = to_time(expires_at).timestamp() if expires_at else np.inf
            sealing = self._master.opened(key, "key", person_id)
        except DamagedError:
            self._matrix.add_person(person_id, np.inf)
            for photo_id, _ in mine:
                self._damage(person_id, photo_id)
        else:
            self._matrix.add_person(person_id, until)
            for photo_id, vector in mine:
                self._load_vector(sealing, person_id, photo_id, vector)

    def _load_vector(self, sealing: Sealing, person_id: str, photo_id: str, vector: bytes) -> None:
        row = self._matrix.new_row(person_id, photo_id)
        try:
            sealing.open_into(row, vector, *vector_context(person_id, photo_id, self._contract_id))
        except DamagedError:
            self._matrix.drop_row()
            self._damage(person_id, photo_id)

    def _damage(self, person_id: str, photo_id: str) -> None:
        self._damaged.setdefault(person_id, []).append(photo_id)
        _log.error("a photo in the gallery is damaged and not compared: %s", photo_id)

    def _forget_everybody(self) -> None:
        for person_id in self._matrix.person_ids():
            self._forget(person_id)
        self._revision = 0

    def _forget(self, person_id: str) -> None:
        if not self._matrix.remove_person(person_id):
            return
        del self._pseudonyms[self._hashes.pseudonym(person_id)]
        self._stale.pop(person_id, None)
        self._damaged.pop(person_id, None)


def _head(connection: Connection) -> bytes:
    """Of the audit's chain: another one, and something has changed."""
    (head,) = of_gallery(connection, "head")
    return bytes(head)
