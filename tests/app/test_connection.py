"""Which bytes belong to which request, and that each client reads its answer; on real sockets."""

import asyncio
import errno
import http.client
import json
import re
import shutil
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import requests
import uvicorn
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from services import running
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from app.bounded_request import HeadError
from app.connection import Connection, Connections
from app.framing import ChunkedBody, body_length
from app.settings import Settings

GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class Server:
    def __init__(self, address: str, process: "subprocess.Popen[str]") -> None:
        self.address, self.process = address, process
        self.host, port = address.removeprefix("http://").split(":")
        self.port = int(port)

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=30)

    def talk(self, *pieces: bytes, half_close: bool = False) -> bytes:
        """What comes back until the other side closes."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
            return answer

    def metric(self, name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", httpx.get(f"{self.address}/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0


@pytest.fixture(scope="module")
def server(bundle_folder: Path) -> Iterator[Server]:
    with running("facepair", bundle_folder, header_timeout=2, body_timeout=10, log_level="WARNING") as (
        address,
        process,
    ):
        yield Server(address, process)


@asynccontextmanager
async def connected(
    service: ASGIApp, settings: Settings | None = None
) -> AsyncIterator[tuple[Connection, socket.socket]]:
    """A connection of a server in this event loop, and its other end."""
    connections = Connections(settings or Settings(), lambda _: None, lambda _: False)
    config = uvicorn.Config(cast("Any", service), log_config=None)
    config.load()
    served = partial(Connection, connections, config=config, server_state=ServerState(), app_state={})
    ours, theirs = socket.socketpair()
    with theirs:
        transport, connection = await asyncio.get_running_loop().create_connection(served, sock=ours)
        yield connection, theirs
        transport.close()
        await asyncio.sleep(0.01)  # it closes in a turn of its own


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 ([2-5]\d\d) ", answers)]


def code(answer: bytes) -> str:
    found: str = json.loads(answer.rpartition(b"\r\n\r\n")[2])["code"]
    return found


BOTH = [b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"]


@pytest.mark.parametrize(
    "fields",
    [
        b"".join(BOTH),
        b"".join(reversed(BOTH)),
        b"Content-Length: 3\r\nContent-Length: 3\r\n",
        b"Content-Length: 3, 3\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: 0x3\r\n",
        b"Content-Length: \r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: chunked\n",
        b"X: y\r\n folded\r\n",
        b"Host: elsewhere\r\n",
    ],
)
def test_a_body_whose_length_is_in_doubt_is_refused_and_nothing_after_it_is_read(server: Server, fields: bytes) -> None:
    answer = server.talk(POST + fields + b"\r\n" + b"abc" + GET)
    assert (statuses(answer), code(answer)) == ([400], "head_invalid")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"GET /livez HTTP/2.0\r\nHost: localhost\r\n\r\n",
        b"POST /embed HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        GET[:-2] + b"A: b\r\n" * 100 + b"\r\n",
        GET.replace(b"/livez", b"/livez?" + b"&a" * 4000),
        b"\x16\x03\x01\x02\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        GET + b"PRI * HTTP/2.0\r\n\r\n",
    ],
)
def test_what_is_no_request_of_ours_is_refused_at_once(server: Server, head: bytes) -> None:
    answer = server.talk(head)
    assert (statuses(answer), code(answer)) == ([200] * head.startswith(GET) + [400], "head_invalid")


def test_refused_heads_are_counted_and_logged(bundle_folder: Path) -> None:
    with running("facepair", bundle_folder, header_timeout=1) as (address, process):
        server = Server(address, process)
        server.talk(b"nonsense\r\n\r\n")
        server.talk(b"GET /livez HT")
        assert server.metric('facepair_errors_total{code="head_invalid"}') == 1
        assert server.metric('facepair_errors_total{code="request_timeout"}') == 1
        process.terminate()
        log, _ = process.communicate(timeout=60)
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["status"] for line in lines if line.get("code") in ("head_invalid", "request_timeout")] == [400, 408]


def test_pipelined_requests_are_answered_each_and_in_their_order(server: Server) -> None:
    unknown = GET.replace(b"/livez", b"/nothing")
    close = GET[:-2] + b"Connection: close\r\n\r\n"
    assert statuses(server.talk(b"\r\n\r\n" + GET + unknown + GET * 500 + close)) == [200, 404] + [200] * 501


@pytest.mark.parametrize("fields", [b"", b"Content-Length: 0\r\n", b"Expect: 100-continue\r\n"])
def test_who_sends_no_body_waits_for_nothing(bundle_folder: Path, fields: bytes) -> None:
    """Each would otherwise be worked on until its time was up, and keep others out."""
    with running("facepair", bundle_folder, max_in_flight=1, request_timeout=600) as (address, process):
        server = Server(address, process)
        for _ in range(2):
            answer = server.talk(POST + fields + b"Connection: close\r\n\r\n")
            assert (statuses(answer), code(answer)) == ([400], "multipart_invalid")


def test_an_interim_answer_is_for_those_who_know_of_any(server: Server) -> None:
    for version in (b"1.0", b"1.1"):
        head = POST.replace(b"1.1", version) + b"Expect: 100-continue\r\nConnection: close\r\n"
        answer = server.talk(head + b"Content-Length: 3\r\n\r\nabc")
        assert statuses(answer) == [400]
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\n") == (version == b"1.1")


@pytest.mark.anyio
async def test_of_empty_lines_that_arrive_together_each_is_no_work_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[bytes] = []
    take_head = Connection._take_head

    def noted(connection: Connection, data: bytes) -> bytes:
        pieces.append(data)
        return take_head(connection, data)

    monkeypatch.setattr(Connection, "_take_head", noted)
    async with connected(FastAPI()) as (connection, theirs):
        theirs.sendall(b"\r\n" * 30_000 + GET[:9])
        while bytes(connection._head) != GET[:9]:
            await asyncio.sleep(0.01)
    assert len(pieces) < 10


@pytest.mark.anyio
async def test_what_comes_as_an_answer_ends_follows_what_came_before() -> None:
    done, asked = asyncio.Event(), list[str]()

    async def service(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        await receive()
        watcher = asyncio.ensure_future(receive())  # which goes on reading while the answer is made
        await done.wait()
        watcher.cancel()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async with connected(service) as (connection, theirs):
        theirs.sendall(GET + GET[:9])
        while connection._ahead != GET[:9]:
            await asyncio.sleep(0.01)
        theirs.sendall(GET[9:])
        done.set()
        while len(asked) < 2 and not connection.transport.is_closing():
            await asyncio.sleep(0.01)
    assert asked == ["/livez", "/livez"]


def test_who_takes_no_answer_keeps_nobody_out(bundle_folder: Path) -> None:
    """Of requests that are sent ahead the second waits for the client, though it looks like one that waits for us."""
    with running("facepair", bundle_folder, max_connections=8) as (address, process), ExitStack() as stack:
        server = Server(address, process)
        for _ in range(6):  # as many as one address may have
            greedy = stack.enter_context(socket.socket())
            greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            greedy.connect((server.host, server.port))
            greedy.sendall(GET.replace(b"/livez", b"/openapi.json") * 100)
        time.sleep(1)
        assert [statuses(server.talk(GET[:-2] + b"Connection: close\r\n\r\n")) for _ in range(6)] == [[200]] * 6


@pytest.mark.anyio
async def test_a_long_answer_may_be_taken_slowly() -> None:
    async def service(_: Scope, __: Receive, send: Send) -> None:
        length = str(40 * 2**16).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        for number in range(40):
            await send({"type": "http.response.body", "body": bytes(2**16), "more_body": number < 39})

    taken = 0
    async with connected(service, Settings(request_timeout=0.5, body_timeout=0.5)) as (_, theirs):
        theirs.sendall(GET[:-2] + b"Connection: close\r\n\r\n")
        started = time.monotonic()
        while piece := await asyncio.to_thread(theirs.recv, 2**16):
            taken += len(piece)
            await asyncio.sleep(0.1)
    assert time.monotonic() - started > 2  # twice as long as there is for an answer that is not taken
    assert taken > 40 * 2**16


def test_after_a_chunked_body_the_connection_ends(server: Server) -> None:
    answer = server.talk(CHUNKED + b"3\r\nabc\r\n0\r\n\r\n" + GET)
    assert statuses(answer) == [400]
    assert code(answer) == "multipart_invalid"


def test_a_malformed_chunk_is_the_clients_fault(bundle_folder: Path) -> None:
    with running("facepair", bundle_folder) as (address, process):
        server = Server(address, process)
        answer = server.talk(CHUNKED + b"5\r\nhello\r\nxyz\r\n")
        assert (statuses(answer), code(answer)) == ([400], "head_invalid")
        assert server.metric('facepair_requests_total{route="/embed",status="400"}') == 1
        process.terminate()
        log, _ = process.communicate(timeout=60)
    assert '"ERROR"' not in log
    assert "Traceback" not in log


@pytest.mark.parametrize(("path", "expected"), [(b"/embed", 400), (b"/livez", 405)])
def test_chunks_of_next_to_nothing_are_refused_before_they_cost_anything(
    server: Server, path: bytes, expected: int
) -> None:
    """Of 600,000 bytes on the wire, 100,000 chunks, the service parses the first few thousand."""
    request = CHUNKED.replace(b"/embed", path) + b"1\r\n-\r\n" * 100_000
    with server.connect() as connection:
        with suppress(ConnectionError):
            connection.sendall(request)
        answer = connection.recv(65536)
    assert statuses(answer) == [expected]


@given(st.binary(max_size=3000), st.lists(st.integers(1, 700), max_size=20), st.integers(1, 999))
def test_a_body_comes_out_of_its_chunks_however_they_arrive(body: bytes, sizes: list[int], read: int) -> None:
    pieces: list[bytes] = []
    rest = body
    for size in sizes:
        pieces, rest = [*pieces, rest[:size]], rest[size:]
    wire = b"".join(b"%x;note=1\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, rest] if piece)
    wire += b"0\r\nTrailer: x\r\n\r\n"
    chunks, found = ChunkedBody(16384), b""
    for start in range(0, len(wire), read):
        assert not chunks.whole or start > len(wire) - 30
        found += chunks.feed(wire[start : start + read])
    assert (found, chunks.whole) == (body, True)


def feed_by_hundreds(chunks: ChunkedBody, wire: bytes) -> None:
    for start in range(0, len(wire), 100):
        chunks.feed(wire[start : start + 100])


@pytest.mark.parametrize(
    "wire",
    [b"1\r\na\r\n" * 10_000, b"1" + b";a" * 10_000 + b"\r\n", b"0\r\n" + b"A: b\r\n" * 10_000, b"0" * 20_000],
    ids=["chunks", "extensions", "trailers", "digits"],
)
def test_framing_is_bounded_by_what_it_frames(wire: bytes) -> None:
    with pytest.raises(HeadError):
        feed_by_hundreds(ChunkedBody(1000), wire)


def test_zeros_before_a_length_hide_no_body(server: Server) -> None:
    post = POST + b"Content-Length: " + b"0" * 30 + b"%d\r\n\r\n" % len(GET) + GET
    assert statuses(server.talk(post + GET, half_close=True)) == [
        400,
        200,
    ]  # the first GET is a body, the second a request


def test_of_tiny_chunks_that_arrive_together_no_more_is_parsed_than_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []
    monkeypatch.setattr(ChunkedBody, "on_body", lambda _, body: parsed.append(body))
    with pytest.raises(HeadError):
        ChunkedBody(1000).feed(b"1\r\na\r\n" * 10_000)
    assert len(parsed) < 400


def test_the_length_of_a_body() -> None:
    host = (b"host", b"a")
    assert body_length([host], "1.1") == 0
    assert body_length([host, (b"content-length", b"007")], "1.1") == 7
    assert body_length([host, (b"content-length", b"0" * 5000 + b"70")], "1.1") == 70
    assert body_length([host, (b"content-length", b"000")], "1.1") == 0
    assert body_length([host, (b"transfer-encoding", b"Chunked")], "1.1") is None
    assert body_length([], "1.0") == 0


@pytest.fixture(scope="module")
def closed(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with keys, none of which the tests have."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text("0" * 64)
    with running("facepair", bundle_folder, api_keys_file=keys) as (address, process):
        yield Server(address, process)


def by_urllib(url: str, body: bytes) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as answer:  # noqa: S310
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        return error.code


def by_requests(url: str, body: bytes) -> int:
    return requests.post(url, data=body, timeout=60).status_code


def by_curl(url: str, body: bytes) -> int:
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Expect:", "--data-binary", "@-", url]
    return int(subprocess.run(command, input=body, capture_output=True, check=True, timeout=60).stdout)


without_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.mark.parametrize("client", [by_urllib, by_requests, pytest.param(by_curl, marks=without_curl)])
@pytest.mark.parametrize("megabytes", [23, 100])
def test_ordinary_clients_read_the_answer_that_comes_before_their_body_ends(
    server: Server, closed: Server, client: object, megabytes: int
) -> None:
    body = bytes(megabytes * 10**6)
    for _ in range(3):
        assert client(f"{server.address}/embed", body) == 413  # type: ignore[operator]
    assert client(f"{closed.address}/embed", body) == 401  # type: ignore[operator]


def test_who_half_closes_reads_the_answer(server: Server) -> None:
    body = b"--b--\r\n"
    post = POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    assert statuses(server.talk(post, half_close=True)) == [422]
    assert statuses(server.talk(GET * 3, half_close=True)) == [200] * 3
    assert server.talk(POST + b"Content-Length: 9\r\n\r\n", half_close=True) == b""  # the rest can never come


def test_absolute_targets_and_head(server: Server) -> None:
    for target, expected in (
        (b"http://localhost/livez", 200),
        (b"http://localhost", 200),
        (b"http://localhost?a=/", 200),
        (b"http://a.b/model", 403),
    ):
        assert statuses(server.talk(GET.replace(b"/livez", target), half_close=True)) == [expected]
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=30)) as connection:
        for path, expected in (("/livez", 200), ("/model", 200), ("/", 200), ("/embed", 405), ("/nothing", 404)):
            connection.request("HEAD", path)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (expected, b"")
            assert int(answer.headers["Content-Length"]) > 0


@pytest.mark.parametrize("sent", [0, 5, len(POST), len(CHUNKED) + 3, None])
def test_a_reset_in_the_middle_of_anything_harms_nobody(server: Server, sent: int | None) -> None:
    request = CHUNKED + b"400\r\n" + bytes(1024) + b"\r\n0\r\n\r\n"
    for _ in range(20):
        connection = server.connect()
        connection.sendall(request[:sent])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    assert statuses(server.talk(GET, half_close=True)) == [200]
    deadline = time.monotonic() + 30
    while server.metric("facepair_requests_in_flight") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert server.metric("facepair_requests_in_flight") == 0


@pytest.mark.anyio
async def test_who_has_reset_the_connection_is_no_fault_when_it_is_closed() -> None:
    reset: list[str] = []

    class Reset(asyncio.Transport):
        def write(self, data: bytes | bytearray | memoryview) -> None:
            """Into the void."""

        def is_closing(self) -> bool:
            return False

        def write_eof(self) -> None:
            raise OSError(errno.ENOTCONN, "not connected")

        def abort(self) -> None:
            reset.append("aborted")

    connections = Connections(Settings(), lambda _: None, lambda _: False)
    config = uvicorn.Config(FastAPI(), log_config=None)
    connection = Connection(connections, config=config, server_state=ServerState(), app_state={})
    connection.connection_made(Reset())
    connection._take(b"nonsense\r\n\r\n")
    assert reset == ["aborted"]
