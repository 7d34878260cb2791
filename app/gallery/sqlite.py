"""A gallery's database in one file, by the standard library's sqlite3; knows no person."""

import logging
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from app.gallery.database import Connection, Row, T
from app.gallery.records import GalleryError, GalleryUnavailable

_log = logging.getLogger("facepair")
_BUSY_SECONDS = 5.0
"""For another process's transaction to end."""
_TRUNCATE_SECONDS = 0.1
"""For this process's readers of older states to end, so that the log can be emptied; another's may read for hours."""
_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",  # in WAL mode less would lose what was answered, if the power fails
    "secure_delete = ON",
    "foreign_keys = ON",
    "temp_store = MEMORY",
)


class _Statements:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.erased = False

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        return self._connection.execute(statement, values).fetchall()

    def erase(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        self.erased = True
        return self.execute(statement, values)


class _Open:
    """A connection, and which file it has open: one that was deleted or replaced still takes writes, for nobody."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        self.connection.text_factory = lambda text: text.decode(errors="replace")  # damage is one value's, not all's
        self.file = _identity(path)
        for pragma in _PRAGMAS:
            self.connection.execute(f"PRAGMA {pragma}")


class Sqlite:
    """One connection writes, under a lock; readers have others, and wait for nobody (WAL)."""

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        """Makes the file, for this user alone, where it is not there. Raises GalleryError."""
        self._path = path
        self._writing = threading.Lock()
        self._idle: deque[_Open] = deque()
        self._untidy = True  # a log may be there from before, with what was erased then
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._written = _Open(path)
        except (OSError, sqlite3.Error) as error:
            raise GalleryError(f"{path}: the gallery cannot be opened") from error

    def read(self, work: Callable[[Connection], T]) -> T:
        with _faults():
            reader = self._reader()
            try:
                reader.connection.execute("BEGIN")
                return work(_Statements(reader.connection))
            finally:
                reader.connection.rollback()
                self._idle.append(reader)

    def write(self, work: Callable[[Connection], T]) -> T:
        with self._writer() as connection:
            statements = _Statements(connection)
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(statements)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.rollback()
                raise
            self._untidy = self._untidy or statements.erased
            if self._untidy:
                self._empty_log(connection, _TRUNCATE_SECONDS if statements.erased else 0)
            return result

    def tidy(self) -> None:
        with self._writer() as connection:
            self._empty_log(connection, _TRUNCATE_SECONDS)
            if self._untidy:
                _log.warning("the gallery's log still holds what was erased: another process reads an older state")

    def close(self) -> None:
        with self._writing:
            for each in (self._written, *self._idle):
                each.connection.close()
            self._idle.clear()

    def _reader(self) -> _Open:
        file = _identity(self._path)
        while True:
            try:
                reader = self._idle.pop()
            except IndexError:
                return _Open(self._path)
            if reader.file == file:
                return reader
            reader.connection.close()

    @contextmanager
    def _writer(self) -> Iterator[sqlite3.Connection]:
        with self._writing, _faults():
            if self._written.file != _identity(self._path):
                before, self._written = self._written, _Open(self._path)
                before.connection.close()
            yield self._written.connection

    def _empty_log(self, writer: sqlite3.Connection, seconds: float) -> None:
        """Moves the log into the file, where deleted content is overwritten, and truncates it, if readers let it."""
        writer.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
        with suppress(sqlite3.OperationalError):  # the disk is full: the change itself is safe in the log
            [(busy, _, _)] = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._untidy = self._untidy and bool(busy)
        writer.execute(f"PRAGMA busy_timeout = {int(_BUSY_SECONDS * 1000)}")


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError):
        raise  # of a statement: a fault of ours
    except (sqlite3.Error, OSError) as error:
        raise GalleryUnavailable from error
