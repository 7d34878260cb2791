"""The seam between a gallery and what keeps it: two ways to run statements, and the schema's versions."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from app.gallery.records import GalleryError, GalleryUnavailable

T = TypeVar("T")
Row = tuple[Any, ...]
_MIGRATIONS = Path(__file__).parent / "migrations"


class Connection(Protocol):
    """Runs one statement inside a transaction; `?` stands for a value."""

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]: ...

    def erase(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """As execute. What it deletes or overwrites leaves no trace, as far as the store can do it."""


class Database(Protocol):
    """Safe to use from many threads. All of it raises GalleryUnavailable while the database cannot be used."""

    dialect: str

    def read(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` on one consistent state, of all that was written before."""

    def write(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` as one transaction: durable when it returns, or undone when it raises.

        One at a time, among all processes.
        """

    def tidy(self) -> None:
        """Takes away what is left of what was erased, by whatever process, and could not go at once."""

    def close(self) -> None: ...


def of_gallery(connection: Connection, columns: str) -> Row:
    """These columns of the gallery's only row. Raises GalleryUnavailable where it is not there."""
    rows = connection.execute(f"SELECT {columns} FROM gallery")  # noqa: S608
    if not rows:
        raise GalleryUnavailable("the gallery's database is empty, as while a backup is put back")
    return rows[0]


def migrate(connection: Connection, dialect: str) -> None:
    """Brings the schema to the newest version. Raises GalleryError where it is newer than this code."""
    connection.execute("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY)")
    done = {number for (number,) in connection.execute("SELECT number FROM migrations")}
    known = {int(path.stem.split("_")[0]): path for path in (_MIGRATIONS / dialect).glob("*.sql")}
    if done - known.keys():
        raise GalleryError("the gallery was written by a newer Facepair: use that one, or restore a backup")
    for number in sorted(known.keys() - done):
        for statement in known[number].read_text(encoding="utf-8").split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute("INSERT INTO migrations (number) VALUES (?)", (number,))
