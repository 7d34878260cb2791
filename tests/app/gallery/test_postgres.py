"""A PostgreSQL server on a network, which can go away without a word."""

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from postgres_cluster import Cluster

from app.gallery.postgres import Postgres


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
