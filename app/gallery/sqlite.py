"""A gallery's database in one file, by the standard library's sqlite3; knows no person."""

import logging
import os
import sqlite3
import threading
import time
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
_TRUNCATE_SECONDS = 5.0
"""For the readers of older states to end, so that the log can be emptied."""
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

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        return self._connection.execute(statement, values).fetchall()


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
            self._writer = _Open(path)
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

    def write(self, work: Callable[[Connection], T], *, erases: bool = False) -> T:
        with self._writing, _faults():
            if self._writer.file != _identity(self._path):
                self._writer.connection.close()
                self._writer = _Open(self._path)
            connection = self._writer.connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(_Statements(connection))
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.rollback()
                raise
            self._untidy = self._untidy or erases
            if self._untidy:
                self._empty_log(connection)
            return result

    def close(self) -> None:
        with self._writing:
            for each in (self._writer, *self._idle):
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

    def _empty_log(self, writer: sqlite3.Connection) -> None:
        """Moves the log into the file, where deleted content is overwritten, and truncates it."""
        until = time.monotonic() + _TRUNCATE_SECONDS
        while time.monotonic() < until:
            with suppress(sqlite3.OperationalError):  # the disk is full: the change itself is safe in the log
                [(busy, _, _)] = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                if not busy:
                    self._untidy = False
                    return
            time.sleep(0.01)
        _log.warning("the gallery's log cannot be emptied: what was erased is in it until a later change")


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
