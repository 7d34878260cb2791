"""A gallery, opened: its register and its index on one database, under one master key."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.gallery import audit
from app.gallery.database import Connection, Database, migrate
from app.gallery.index import Counts, Index
from app.gallery.keyed_hashes import KeyedHashes
from app.gallery.records import DamagedError, GalleryError, GalleryUnavailable, Limits, NewPhoto, Receipt
from app.gallery.register import Register
from app.gallery.sealing import Sealing
from app.gallery.sqlite import Sqlite

_SQLITE, _POSTGRES = "sqlite:///", ("postgresql://", "postgres://")


@dataclass(frozen=True)
class Gallery:
    """Safe to use from many threads; `close` it at the end."""

    register: Register
    index: Index

    def enrol(
        self,
        person_id: str,
        photos: Sequence[NewPhoto],
        contract_id: str,
        caller: str,
        outcome: str,
        *,
        makes: bool = True,
    ) -> Counts:
        """As the register does, and into this process's memory as well; no photos change nothing."""
        if photos:
            self.register.enrol(person_id, photos, contract_id, caller, outcome, makes=makes)
        return self.index.counts()

    def erase(self, person_id: str, caller: str, if_match: str | None = None) -> Receipt:
        """As the register does, and from this process's memory as well."""
        return self._forgotten(self.register.erase(person_id, caller, if_match))

    def erase_photo(self, person_id: str, photo_id: str, caller: str) -> Receipt:
        """As the register does, and from this process's memory as well."""
        return self._forgotten(self.register.erase_photo(person_id, photo_id, caller))

    def _forgotten(self, receipt: Receipt) -> Receipt:
        with suppress(GalleryUnavailable):  # what is erased stays erased: memory follows at the next look
            self.index.counts()
        return receipt

    def close(self) -> None:
        self.register.database.close()


def open_database(url: str) -> Database:
    """The database that the URL names: `sqlite:///FILE` (from the root: `sqlite:////FILE`) or `postgresql://...`.

    Raises GalleryError.
    """
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return Sqlite(Path(url.removeprefix(_SQLITE)))
    if url.startswith(_POSTGRES):
        try:
            from app.gallery.postgres import Postgres
        except ImportError as error:
            raise GalleryError("a gallery in PostgreSQL needs psycopg: pip install 'facepair[postgres]'") from error
        return Postgres(url)
    raise GalleryError("FACEPAIR_GALLERY is neither sqlite:///FILE nor postgresql://...")


def open_gallery(
    database: Database,
    master: Sealing,
    contract_id: str,
    dimension: int,
    limits: Limits,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Gallery:
    """Brings the schema up to date and loads the vectors.

    Raises GalleryError where the master key is another, GalleryUnavailable.
    """
    hashes = database.write(lambda connection: prepared(connection, database.dialect, master))
    register = Register(database, master, hashes, limits, clock)
    index = Index(database, master, hashes, contract_id, dimension, lambda: clock().timestamp())
    index.counts()
    return Gallery(register, index)


def prepared(connection: Connection, dialect: str, master: Sealing) -> KeyedHashes:
    """The gallery's own secrets, in a schema that is up to date; new ones where there are none."""
    migrate(connection, dialect)
    rows = connection.execute("SELECT secrets FROM gallery")
    if not rows:
        hashes = KeyedHashes.new()
        connection.execute(
            "INSERT INTO gallery (only_row, revision, head, secrets) VALUES (1, 0, ?, ?)",
            (audit.START, hashes.sealed(master)),
        )
        return hashes
    try:
        return KeyedHashes.unsealed(master, rows[0][0])
    except DamagedError:
        raise GalleryError("FACEPAIR_GALLERY_KEY_FILE does not hold the key that this gallery was made with") from None
