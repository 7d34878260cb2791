"""A PostgreSQL server of the tests' own, in a temporary folder, on a socket that no network reaches."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

_SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
BINARIES = _SERVERS[0].parent if _SERVERS else None
"""None also where only the client is installed."""
_USER = "postgres"


class Cluster:
    """Made empty by `make`; may be stopped, killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._data = folder / "data"
        self._as_user = ["runuser", "-u", _USER, "--"] if os.geteuid() == 0 else []

    @property
    def url(self) -> str:
        return f"postgresql://{_USER}@/postgres?host={self.folder}"

    def make(self) -> None:
        """The server refuses to run as root, so that it gets the folder then."""
        if self._as_user:
            shutil.chown(self.folder, _USER)
        self._run("initdb", "-D", self._data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--no-sync")

    def start(self) -> None:
        settings = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c max_connections=50"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", self.folder / "log", "-o", settings, "start")

    def stop(self, mode: str = "fast") -> None:
        """`immediate` is how a server ends whose power fails."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", mode, "stop")

    def create(self, schema: str) -> str:
        """A new, empty schema; gives the URL of a database that has nothing else."""
        with psycopg.connect(self.url) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        return f"{self.url}&options=-csearch_path%3D{schema}"

    def _run(self, command: str, *arguments: object) -> None:
        assert BINARIES is not None
        line = [*self._as_user, str(BINARIES / command), *map(str, arguments)]
        # Not captured by pipes, which the server would inherit and keep open.
        with (self.folder / "commands").open("ab") as output:
            subprocess.run(line, stdout=output, stderr=output, check=True, cwd="/", timeout=60)


@contextmanager
def started() -> Iterator[Cluster]:
    """A server that runs when the block begins and is gone after it."""
    folder = Path(tempfile.mkdtemp(prefix="facepair-pg-", dir="/tmp"))
    cluster = Cluster(folder)
    try:
        cluster.make()
        cluster.start()
        yield cluster
        cluster.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
