"""A PostgreSQL server on a network, which can go away without a word."""

import logging
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from galleries import Galleries, enrol, vector
from postgres_cluster import BINARIES, Cluster, started

from app.gallery import postgres
from app.gallery.postgres import Postgres
from app.gallery.records import GalleryError, GalleryUnavailable


@contextmanager
def on_a_network(cluster: Cluster) -> Iterator[str]:
    """Gives the URL of the server at a port of this machine, for one connection."""
    (path,) = (path for path in cluster.folder.glob(".s.PGSQL.*") if path.is_socket())

    def pass_on(source: socket.socket, target: socket.socket) -> None:
        with source.makefile("rb", buffering=0) as read, target.makefile("wb", buffering=0) as written:
            shutil.copyfileobj(read, written)
        target.shutdown(socket.SHUT_WR)

    with socket.create_server(("127.0.0.1", 0)) as door, socket.socket(socket.AF_UNIX) as server:
        server.connect(str(path))

        def serve() -> None:
            client, _ = door.accept()
            with client:
                back = threading.Thread(target=pass_on, args=(server, client), daemon=True)
                back.start()
                pass_on(client, server)
                back.join()

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        yield f"postgresql://postgres@127.0.0.1:{door.getsockname()[1]}/postgres?sslmode=disable&gssencmode=disable"
        serving.join()


def test_a_server_that_is_gone_without_a_word_is_waited_for_at_most_a_quarter_of_a_minute(cluster: Cluster) -> None:
    with on_a_network(cluster) as url:
        database = Postgres(url)
        with (
            database._pool.connection() as connection,
            socket.fromfd(connection.pgconn.socket, socket.AF_INET, socket.SOCK_STREAM) as used,
        ):
            unheard_ms = used.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            idle = used.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        database.close()
    assert 0 < idle + unheard_ms / 1000 <= 15


@pytest.mark.parametrize("password", ["S3CR%ET", "S3C RET", "S3C/RET", "S3C@RET", "S3C\udcffRET"])
def test_a_url_that_cannot_be_read_is_refused_at_once_and_shown_nowhere(
    password: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(GalleryError, match=r"^FACEPAIR_GALLERY is no URL [^\n]*$") as refused:
        Postgres(f"postgresql://facepair:{password}@127.0.0.1:1/x")
    assert "S3C" not in str(refused.value)
    assert caplog.records == []


def test_a_server_that_cannot_be_reached_is_one_line_and_no_piece_of_the_url_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(postgres, "_START_SECONDS", 1.0)
    with pytest.raises(GalleryError, match=r"cannot be reached"):
        Postgres("postgresql://facepair:S3CRET/x")  # libpq takes the password for a port
    assert caplog.records == []
    assert not logging.getLogger("psycopg.pool").disabled


def test_a_database_without_an_encoding_keeps_people_as_any_other(cluster: Cluster) -> None:
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE plain ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    galleries = Galleries(f"postgresql://postgres@/plain?host={cluster.folder}")
    gallery = galleries.open()
    enrol(gallery, "E1", 1)
    assert gallery.index.search(vector(1), 1).matches[0].person_id == "E1"
    assert [person.person_id for person in gallery.register.people(9).people] == ["E1"]
    assert gallery.erase("E1", "Żaneta").photos_erased == 1
    galleries.close()


def test_what_the_role_may_not_do_is_said_in_one_line(cluster: Cluster) -> None:
    """To make tables in `public` is nobody's but the owner's right since PostgreSQL 15."""
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN")
        connection.execute("CREATE DATABASE others")
    url = f"postgresql://postgres@/others?host={cluster.folder}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    guests = Galleries(url.replace("postgres@", "guest@"))
    for refused, why in ((guests, "permission denied"), (Galleries(f"{url}&options=-csearch_path%3Dx"), "no schema")):
        with pytest.raises(GalleryUnavailable, match=f"^PostgreSQL says: {why} [^\n]*$"):
            refused.open()
    owners = Galleries(url)
    owners.open()
    with pytest.raises(GalleryUnavailable, match="permission denied"):
        guests.open()
    owners.close()


@pytest.mark.skipif(BINARIES is None, reason="no PostgreSQL server is installed")
def test_a_damaged_page_is_a_database_that_cannot_be_used_now() -> None:
    with started() as cluster:
        galleries = Galleries(cluster.url)
        enrol(galleries.open(), "E1", 1)
        galleries.close()
        with psycopg.connect(cluster.url) as connection:
            path = connection.execute("SELECT pg_relation_filepath('photos')").fetchone()
        cluster.stop()
        assert path is not None
        (cluster.folder / "data" / path[0]).write_bytes(b"damage" * 4096)
        cluster.start()
        with pytest.raises(GalleryUnavailable, match="damaged"):
            galleries.open()
