"""What only sockets show: who brings nothing, too much or too slowly, and an end that loses nobody."""

import asyncio
import hashlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import makers
import pytest
from services import COMMANDS, PATIENCE, running, until

from app.server import LoopErrors, _listen, _with_descriptors

PICTURE = makers.encoded(makers.face(1), "PPM")
BODY = b'--b\r\nContent-Disposition: form-data; name="image"; filename="f"\r\n\r\n' + PICTURE + b"\r\n--b--\r\n"
HEAD = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
# Seconds that are short beside a test, and long beside what a good client needs on a busy machine.
LIMITS = {"header_timeout": 2, "body_timeout": 3, "request_timeout": 6, "max_connections": 300, "max_in_flight": 8}
LIMITS |= {"max_header_bytes": 20_000}  # more than uvicorn takes by itself

pytestmark = pytest.mark.xdist_group("server")  # one service for all of them, with one memory to be measured


@dataclass
class Server:
    address: str
    process: "subprocess.Popen[str]"

    def connect(self) -> socket.socket:
        host, port = self.address.removeprefix("http://").split(":")
        return socket.create_connection((host, int(port)), timeout=PATIENCE)

    @property
    def in_flight(self) -> int:
        metrics = httpx.get(f"{self.address}/metrics", timeout=PATIENCE).text
        found = re.search(r"^facepair_requests_in_flight (\d+)", metrics, flags=re.M)
        assert found is not None
        return int(found[1])

    def metric(self, name: str) -> float:
        metrics = httpx.get(f"{self.address}/metrics", timeout=PATIENCE).text
        return sum(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith(name + " "))

    def talk(self, request: bytes) -> bytes:
        with self.connect() as connection:
            connection.sendall(request)
            return rest(connection)

    @property
    def resident_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024


@pytest.fixture(scope="module")
def server(bundle_folder: Path) -> Iterator[Server]:
    with running("facepair", bundle_folder, **LIMITS) as (address, process):
        yield Server(address, process)


@dataclass
class Good:
    """A client that asks for an embedding every 200 ms, each time over a new connection."""

    address: str
    statuses: list[int | str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        while True:
            try:
                self.statuses.append(
                    httpx.post(f"{self.address}/embed", files={"image": PICTURE}, timeout=PATIENCE).status_code
                )
            except httpx.HTTPError as error:
                self.statuses.append(repr(error))
            if self._end.wait(0.2):
                return

    def __enter__(self) -> "Good":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


@contextmanager
def unharmed(server: Server, growth_mb: float = 20) -> Iterator[None]:
    """While it lasts good clients are served; in the end the process is alive, has not grown, and all have left it."""
    before = server.resident_mb
    with Good(server.address) as good:
        yield
    assert set(good.statuses) == {200}
    assert httpx.get(f"{server.address}/livez", timeout=PATIENCE).status_code == 200
    assert server.resident_mb - before < growth_mb
    until(lambda: server.in_flight == 0)


def rest(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    answer = b""
    with suppress(ConnectionError):
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def problem(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert b"connection: close" in head.lower()
    content = json.loads(body)
    assert int(head.split()[1]) == content["status"]
    return content["status"], content["code"]


def in_pieces(*pieces: bytes, pause: float = 0.1) -> Callable[[socket.socket], None]:
    def send(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)

    return send


def megabytes(connection: socket.socket) -> None:
    connection.sendall(b"GET /livez HTTP/1.1\r\nX: ")
    for _ in range(64):
        connection.sendall(bytes(2**20).replace(b"\0", b"x"))


SLOW_OR_LARGE: dict[str, tuple[Callable[[socket.socket], None], tuple[int, str] | None]] = {
    "idle": (in_pieces(), None),
    "a head of 64 MB": (megabytes, (400, "head_invalid")),
    "10,000 headers": (
        in_pieces(b"GET /livez HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(10_000))),
        (400, "head_invalid"),
    ),
    "10,000 headers, whole": (
        in_pieces(b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 10_000 + b"\r\n"), (400, "head_invalid"),
    ),
    "a header at a time": (
        in_pieces(b"GET /livez HTTP/1.1\r\n", *[b"X%d: y\r\n" % n for n in range(40)]), (408, "request_timeout"),
    ),
    "half a line": (in_pieces(b"GET /li"), (408, "request_timeout")),
    "no HTTP": (in_pieces(b"\x16\x03\x01\x02\x00\r\n\r\n"), (400, "head_invalid")),
    "a body that stalls at 99 %": (in_pieces(REQUEST[:-99]), (408, "request_timeout")),
    "a body that never begins": (in_pieces(HEAD + b"Content-Length: 999\r\n\r\n"), (408, "request_timeout")),
    "a chunked body that trickles": (
        in_pieces(CHUNKED, *[b"1\r\n%c\r\n" % byte for byte in BODY[:60]]),
        (408, "request_timeout"),
    ),
    "chunks that are none": (
        in_pieces(CHUNKED + b"xyz\r\n"), (400, "head_invalid"),
    ),
    "ten gigabytes announced": (in_pieces(HEAD + b"Content-Length: 10000000000\r\n\r\n"), (413, "body_too_large")),
}  # fmt: skip


@pytest.fixture(scope="module")
def answers(server: Server) -> dict[str, bytes]:
    """What each of them got until its connection was closed, all of them at once."""

    def talk(name: str) -> bytes:
        send, _ = SLOW_OR_LARGE[name]
        with server.connect() as connection:
            with suppress(ConnectionError):
                send(connection)
            return rest(connection)

    with unharmed(server), ThreadPoolExecutor(len(SLOW_OR_LARGE)) as threads:
        return dict(zip(SLOW_OR_LARGE, threads.map(talk, SLOW_OR_LARGE), strict=True))


@pytest.mark.parametrize("name", SLOW_OR_LARGE)
def test_who_is_slow_or_large_is_closed_in_time(answers: dict[str, bytes], name: str) -> None:
    _, expected = SLOW_OR_LARGE[name]
    if expected is None:
        assert answers[name] == b""
    elif answers[name] or name != "a head of 64 MB":  # whose sender may find the line cut before it listens
        assert problem(answers[name]) == expected


def test_a_head_may_be_as_large_as_the_setting_says(server: Server) -> None:
    with server.connect() as connection:
        in_pieces(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 18_000, b"\r\nConnection: close\r\n\r\n")(
            connection
        )
        assert rest(connection).startswith(b"HTTP/1.1 200 ")


def test_no_answer_waits_for_the_client_to_acknowledge_its_head() -> None:
    with _listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_a_connection_kept_open_is_closed_too(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(REQUEST)
        answered = connection.recv(65536)
        connection.sendall(b"GET /livez HTTP/1.1\r\n")
        closed = rest(connection)
    assert answered.startswith(b"HTTP/1.1 200 ")
    assert closed.count(b"HTTP/1.1 408 ") == 1


def test_an_upload_after_its_refusal_is_not_read_for_ever(server: Server) -> None:
    with unharmed(server), server.connect() as connection:
        connection.sendall(b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\n\r\n")
        with pytest.raises(ConnectionError):
            in_pieces(*[bytes(100)] * 10 * PATIENCE)(connection)


def test_many_idle_connections_lock_nobody_out(server: Server) -> None:
    with ExitStack() as idle, unharmed(server):
        for _ in range(600):  # twice as many as may be
            idle.enter_context(server.connect())
            time.sleep(0.001)


def test_who_does_not_take_the_answer_is_cut_off(server: Server) -> None:
    """Pipelined requests for a megabyte each: more than the kernel takes off the service's hands."""
    page = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with unharmed(server), server.connect() as connection:
        connection.sendall(page * 8)
        time.sleep(LIMITS["header_timeout"] + LIMITS["body_timeout"] + LIMITS["request_timeout"] + 0.5)
        assert len(rest(connection)) < 8 * 1_000_000


def test_who_takes_nothing_of_a_whole_answer_is_cut_off_too(bundle_folder: Path) -> None:
    with (
        running("facepair", bundle_folder, header_timeout=1, body_timeout=1) as (address, process),
        ExitStack() as stack,
    ):
        descriptors = Path(f"/proc/{process.pid}/fd")
        before = len([*descriptors.iterdir()])
        for _ in range(10):
            stack.enter_context(reads_nothing(address, b"/openapi.json"))
        until(lambda: len([*descriptors.iterdir()]) > before + 5)
        until(lambda: len([*descriptors.iterdir()]) <= before)


@contextmanager
def reads_nothing(address: str, path: bytes) -> Iterator[None]:
    """A client for whose answer the kernel has room for next to nothing."""
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        slow.connect(("127.0.0.1", int(address.rpartition(":")[2])))
        slow.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield


@contextmanager
def at_first(files: int) -> Iterator[None]:
    """Services that start meanwhile may open so many files, until they ask for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_files_that_are_taken_slowly_leave_room_for_others(bundle_folder: Path) -> None:
    """Each of 200 connections has the service hold a file open: it takes no more of it than the kernel has room for."""
    page = b"/static-offline-docs/swagger-ui-bundle.js"
    limits = {"max_connections": 300, "body_timeout": PATIENCE, "header_timeout": PATIENCE}
    with ExitStack() as stack:
        with at_first(files=256):
            address, process = stack.enter_context(running("facepair", bundle_folder, **limits))
        for _ in range(250):
            stack.enter_context(reads_nothing(address, page))
        until(lambda: len([*Path(f"/proc/{process.pid}/fd").iterdir()]) > 2 * 200)
        assert httpx.post(f"{address}/embed", files={"image": PICTURE}, timeout=PATIENCE).status_code == 200
        process.terminate()
        log, _ = process.communicate(timeout=PATIENCE)
    assert '"fault"' not in log


@pytest.fixture
def short_drain(bundle_folder: Path) -> Iterator[Server]:
    with running("facepair", bundle_folder, drain_timeout=10) as (address, process):
        yield Server(address, process)


def test_what_was_let_in_is_finished_after_sigterm(short_drain: Server) -> None:
    with short_drain.connect() as admitted, short_drain.connect() as stalled:
        admitted.sendall(REQUEST[:-99])
        stalled.sendall(HEAD + b"Content-Length: 999\r\n\r\n")
        until(lambda: short_drain.in_flight == 2)
        short_drain.process.send_signal(signal.SIGTERM)
        until(lambda: httpx.get(f"{short_drain.address}/readyz", timeout=PATIENCE).status_code == 503)
        for answer in (
            httpx.get(f"{short_drain.address}/readyz", timeout=PATIENCE),
            httpx.post(f"{short_drain.address}/embed", files={"image": PICTURE}, timeout=PATIENCE),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "draining")
            assert answer.headers["retry-after"]
        assert httpx.get(f"{short_drain.address}/livez", timeout=PATIENCE).status_code == 200
        admitted.sendall(REQUEST[-99:])
        assert admitted.recv(65536).startswith(b"HTTP/1.1 200 ")
        short_drain.process.communicate(timeout=PATIENCE)  # although the stalled one is there still
        assert short_drain.process.returncode in (0, -signal.SIGTERM)  # by itself, before the alarm


def test_with_nothing_to_finish_it_ends_at_once(bundle_folder: Path) -> None:
    """The log is JSON, each line; the settings bring in the keys."""
    with running("facepair", bundle_folder, drain_timeout=10 * PATIENCE) as (address, process):
        httpx.post(f"{address}/embed", files={"image": PICTURE}, headers={"X-Request-ID": "the-one"}, timeout=PATIENCE)
        process.send_signal(signal.SIGTERM)
        log, _ = process.communicate(timeout=PATIENCE)
    lines = [json.loads(line) for line in log.splitlines()]
    [ours] = [line for line in lines if line.get("request_id") == "the-one"]
    assert (ours["route"], ours["status"], ours["caller"]) == ("/embed", 200, "keyless")


def test_beyond_the_limit_the_longest_idle_is_closed_and_nobody_who_gets_on(bundle_folder: Path) -> None:
    with running("facepair", bundle_folder, max_connections=20, header_timeout=60) as (address, process):
        server = Server(address, process)
        with server.connect() as served, ExitStack() as stack:
            served.sendall(REQUEST[:-99])
            until(lambda: server.in_flight == 1)
            idle = []
            for sent in range(40):
                idle.append(stack.enter_context(server.connect()))
                time.sleep(0.01)
                served.sendall(REQUEST[sent - 99 : sent - 98])
            assert rest(idle[0]) == b""
            served.sendall(REQUEST[-59:])
            assert served.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_one_address_cannot_take_all_connections_but_a_proxy_can(bundle_folder: Path) -> None:
    with running("facepair", bundle_folder, max_connections=20, header_timeout=60) as (address, process):
        server = Server(address, process)
        port = int(address.rpartition(":")[2])
        with server.connect() as quiet, ExitStack() as stack:
            other = [
                stack.enter_context(
                    socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=("127.0.0.2", 0))
                )
                for _ in range(40)
            ]
            assert [rest(connection) for connection in other[:25]] == [b""] * 25
            other[-1].sendall(GET)
            assert other[-1].recv(65536).startswith(b"HTTP/1.1 200 ")
            quiet.sendall(GET)  # the oldest of all, and idle until now
            assert quiet.recv(65536).startswith(b"HTTP/1.1 200 ")
            for _ in range(20):  # from the address of a trusted proxy, which many have
                stack.enter_context(server.connect())
            assert rest(other[-2]) == b""


def test_a_flood_of_one_address_is_begun_in_turn_with_the_requests_of_others(bundle_folder: Path) -> None:
    """While another is answered ten times, of 300 connections with a hundred requests each some hundreds are."""
    with running("facepair", bundle_folder, header_timeout=60) as (address, process), ExitStack() as stack:
        server, port = Server(address, process), int(address.rpartition(":")[2])
        with httpx.Client(timeout=PATIENCE) as other:
            for _ in range(300):
                flood = socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=("127.0.0.2", 0))
                stack.enter_context(flood).sendall(GET * 100)
            until(lambda: server.metric('facepair_requests_total{route="/livez",status="200"}') > 500)
            before = server.metric('facepair_requests_total{route="/livez",status="200"}')
            for _ in range(10):
                assert other.get(f"{address}/nothing").status_code == 404
            after = server.metric('facepair_requests_total{route="/livez",status="200"}')
            assert after < 30_000  # it was measured while the flood went on
            assert after - before < 1_000  # if all of them began in one turn, it would be over 3,000


def test_hundreds_may_connect_while_the_service_is_busy(bundle_folder: Path) -> None:
    with running("facepair", bundle_folder, max_connections=600) as (address, process), ExitStack() as stack:
        server = Server(address, process)
        process.send_signal(signal.SIGSTOP)
        try:
            waiting = [stack.enter_context(server.connect()) for _ in range(300)]
        finally:
            process.send_signal(signal.SIGCONT)
        waiting[-1].sendall(GET)
        assert waiting[-1].recv(65536).startswith(b"HTTP/1.1 200 ")


def test_whatever_hangs_after_sigterm_the_process_ends_in_its_time() -> None:
    code = (
        "import signal, time, uvicorn; from app.admission import Admission; from app.server import Server\n"
        "Server(uvicorn.Config(None), Admission(1, 1), 0.5).handle_exit(signal.SIGTERM, None); time.sleep(600)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=PATIENCE, check=False).returncode == -signal.SIGALRM


def test_what_is_there_from_the_start_is_never_searched_for_garbage() -> None:
    code = (
        "import asyncio, gc, uvicorn; from app.admission import Admission; from app.server import Server\n"
        "from fastapi import FastAPI\n"
        "config = uvicorn.Config(FastAPI(), port=0, log_config=None)\n"
        "config.load()\n"
        "server = Server(config, Admission(1, 1), 1)\n"
        "server.lifespan = config.lifespan_class(config)\n"
        "asyncio.run(server.startup())\n"
        "print(gc.get_freeze_count(), len(gc.get_objects()))"
    )
    found = subprocess.run([sys.executable, "-c", code], timeout=PATIENCE, check=True, capture_output=True, text=True)
    frozen, searched = map(int, found.stdout.split())
    assert frozen > 10 * searched


def test_room_for_connections_is_made_or_their_number_lowered(caplog: pytest.LogCaptureFixture) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        assert _with_descriptors(300) == 300
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (728, hard)
        assert _with_descriptors(10) == 10
        assert not caplog.records
        assert _with_descriptors(10**9) == (hard - 128) // 2
        assert len(caplog.records) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_that_no_connection_can_be_accepted_is_logged_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    loop, errors = asyncio.new_event_loop(), LoopErrors()
    for _ in range(1000):
        errors(loop, {"message": "socket.accept() out of system resource", "exception": OSError(24, "Too many")})
    assert 1 <= len(caplog.records) < 10
    errors(loop, {"message": "something else"})
    assert caplog.records[-1].name == "asyncio"
    loop.close()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGHUP])
def test_each_signal_to_end_drains_and_leaves_no_traceback(bundle_folder: Path, sent: signal.Signals) -> None:
    if signal.getsignal(sent) is signal.SIG_IGN:
        pytest.skip("this run ignores the signal, as under nohup")
    with running("facepair", bundle_folder) as (address, process):
        server = Server(address, process)
        with server.connect() as admitted:
            admitted.sendall(REQUEST[:-99])
            time.sleep(0.3)
            process.send_signal(sent)
            time.sleep(0.3)
            assert httpx.get(f"{address}/readyz").json()["code"] == "draining"
            admitted.sendall(REQUEST[-99:])
            assert admitted.recv(65536).startswith(b"HTTP/1.1 200 ")
        log, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert all(json.loads(line)["level"] in ("INFO", "WARNING") for line in log.splitlines())


def test_two_instances_side_by_side_and_none_on_a_port_that_is_taken(bundle_folder: Path, server: Server) -> None:
    port = server.address.rsplit(":", 1)[1]
    environment = os.environ | {"FACEPAIR_BUNDLE": str(bundle_folder), "FACEPAIR_PORT": port}
    command = COMMANDS["facepair"]
    second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert second.returncode == 1
    assert second.stderr.splitlines()[-1].startswith(f"facepair: cannot listen on 127.0.0.1, port {port}")
    with running("facepair", bundle_folder) as (address, _):
        for one in (address, server.address):
            assert httpx.post(f"{one}/embed", files={"image": PICTURE}, timeout=60).status_code == 200


def test_neither_log_nor_metrics_tell_keys_names_or_embeddings(bundle_folder: Path, tmp_path: Path) -> None:
    key, wrong, name = "k3y-of-anna-51", "wr0ng-key-77", "jane-doe-passport.jpg"
    (tmp_path / "keys").write_text(f"{hashlib.sha256(key.encode()).hexdigest()} anna")
    with running("facepair", bundle_folder, api_keys_file=tmp_path / "keys", log_level="DEBUG") as (address, process):
        mine = {"X-API-Key": key}
        answer = httpx.post(f"{address}/embed", files={"image": (name, PICTURE)}, headers=mine, timeout=60)
        for headers in ({"X-API-Key": wrong}, mine):
            for body in (b"--b\r\n" + name.encode(), b"\xff" * 9999):
                kind = {"Content-Type": f"multipart/form-data; boundary={name}", "X-Name": name}
                httpx.post(f"{address}/verify?{name}", content=body, headers=headers | kind, timeout=60)
        Server(address, process).talk(f"GET /{name} HTTP/1.1\r\nX-API-Key {key}\r\n\r\n".encode())
        metrics = httpx.get(f"{address}/metrics", headers=mine).text
        process.terminate()
        log, _ = process.communicate(timeout=60)
    secrets = [key, wrong, name, hashlib.sha256(key.encode()).hexdigest(), "jane"]
    secrets += [str(round(number, 4)) for number in answer.json()["embedding"] if abs(number) > 0.01]
    assert "anna" in log
    assert [secret for secret in secrets if secret in log + metrics] == []
