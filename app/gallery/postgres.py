"""A gallery's database on a PostgreSQL server, which many replicas may share, by psycopg; knows no person."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import IsolationLevel
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool

from app.gallery.database import Connection, Row, T
from app.gallery.records import GalleryError, GalleryUnavailable

_Connection = psycopg.Connection[Row]
_pool_log = logging.getLogger("psycopg.pool")
_WRITERS = 0xFACE
"""The advisory lock of whoever writes, in this database."""
_CONNECTIONS = 4
_CONNECT_SECONDS = 2
_START_SECONDS = 10.0
_STATEMENT_MS = 5000
_SILENCE = {"tcp_user_timeout": 10_000, "keepalives_idle": 5, "keepalives_interval": 5}
"""After 10 to 15 s a server that is gone without a word, as when its machine dies, is gone: the system's own time for
that is hours, in which every connection would wait.
"""


class _Statements:
    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        cursor = self._connection.execute(statement.replace("?", "%s"), values, binary=True)  # bytes are not spelt out
        return cursor.fetchall() if cursor.description else []

    erase = execute  # what is left is the server's to take away: see docs/gallery.md


class Postgres:
    """A pool of connections, each tried before it is used: a server that went away and came back is no fault."""

    dialect = "postgres"

    def __init__(self, url: str) -> None:
        """Raises GalleryError."""
        if not _is_url(url):  # libpq's own message would show the password
            raise GalleryError(
                "FACEPAIR_GALLERY is no URL of PostgreSQL: in its password write %25 for %, %20 for a space, %40 for @ "
                "and %2F for /"
            )
        self._pool: ConnectionPool[_Connection] = ConnectionPool(
            url,
            connection_class=psycopg.Connection,
            # Of a database of no encoding, as of a cluster made with LANG=C, text came as bytes otherwise.
            kwargs={"connect_timeout": _CONNECT_SECONDS, "client_encoding": "UTF8", **_SILENCE},
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=_CONNECT_SECONDS,
            configure=_configure,
            check=ConnectionPool.check_connection,
            open=False,
        )
        _pool_log.disabled = True  # where libpq reads a URL as nobody meant it, its lines show pieces of the password
        try:
            self._pool.open(wait=True, timeout=_START_SECONDS)
        except psycopg.Error as error:
            self._pool.close()
            raise GalleryError("the gallery's PostgreSQL server cannot be reached, or lets nobody in") from error
        finally:
            _pool_log.disabled = False

    def read(self, work: Callable[[Connection], T]) -> T:
        with _faults(), self._pool.connection() as connection:
            connection.isolation_level, connection.read_only = IsolationLevel.REPEATABLE_READ, True
            return work(_Statements(connection))

    def write(self, work: Callable[[Connection], T]) -> T:
        with _faults(), self._pool.connection() as connection:
            # Each statement after the lock sees what the writer before has committed.
            connection.isolation_level, connection.read_only = IsolationLevel.READ_COMMITTED, False
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_WRITERS,))
            return work(_Statements(connection))

    def tidy(self) -> None:
        """Nothing: see `erase`."""

    def close(self) -> None:
        self._pool.close()


def _is_url(url: str) -> bool:
    try:
        parts = conninfo_to_dict(url)
    except (psycopg.ProgrammingError, UnicodeEncodeError):
        return False
    # Behind a `/` or `@` of the password, its rest and the `@` that ends it are read as a host's or a database's name.
    return not any("@" in str(parts.get(name, ""))[1:] for name in ("host", "dbname"))


def _configure(connection: _Connection) -> None:
    connection.execute(f"SET statement_timeout = {_STATEMENT_MS}")
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
    connection.commit()


_FAULTS = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,  # a damaged page, or a server that only reads
    psycopg.errors.UndefinedTable,  # as while a backup is put back, which drops tables first
    psycopg.errors.UndefinedColumn,
)
_DENIED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidSchemaName)
"""What the server's operator has to allow; its message names the schema or the table, and nothing of ours."""


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except _FAULTS as error:
        raise GalleryUnavailable from error
    except _DENIED as error:
        raise GalleryUnavailable(f"PostgreSQL says: {error.diag.message_primary}") from error
