"""Who comes in, with how much and for how long; driven as a server would, so that it shows what is read."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import makers
import pytest
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from app.gate import OPEN, Gate
from app.inference.batching import DeadlineExceededError
from app.keys import Key, Keys, KeysError, UnauthorizedError, read_keys
from app.main import create_app
from app.settings import Settings

pytestmark = pytest.mark.anyio

PICTURE = makers.encoded(makers.face(1), "PPM")
PART = b'--b\r\nContent-Disposition: form-data; name="image"; filename="f"\r\n\r\n'
BODY = PART + PICTURE + b"\r\n--b--\r\n"
FORM = (b"content-type", b"multipart/form-data; boundary=b")
KEYS = {"anna": "correct horse", "berta": "battery staple"}
ANNA, BERTA = ((b"x-api-key", key.encode()) for key in KEYS.values())
Header = tuple[bytes, bytes]


@dataclass
class Call:
    """One request as the server hands it over: its body in pieces, each perhaps late; how much of it was read."""

    headers: list[Header] = field(default_factory=list)
    path: str = "/embed"
    method: str = "POST"
    pieces: list[bytes | float] = field(default_factory=lambda: [BODY])
    length: int | None = None
    client: str | None = "127.0.0.1"
    leaves_after: float | None = None
    read: int = 0
    sent: list[Message] = field(default_factory=list)

    async def receive(self) -> Message:
        while self.pieces:
            piece = self.pieces.pop(0)
            if isinstance(piece, float):
                await asyncio.sleep(piece)
                continue
            self.read += 1
            return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}
        await asyncio.sleep(100 if self.leaves_after is None else self.leaves_after)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def to(self, service: FastAPI) -> "Call":
        length = self.length if self.length is not None else sum(len(p) for p in self.pieces if isinstance(p, bytes))
        announced = [(b"content-length", str(length).encode())] if length else [(b"transfer-encoding", b"chunked")]
        scope: Scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": self.method, "path": self.path,
            "raw_path": self.path.encode(), "query_string": b"", "root_path": "", "scheme": "http",
            "headers": [FORM, *announced, *self.headers] if self.method == "POST" else self.headers,
            "client": (self.client, 1) if self.client else None, "server": ("test", 80),
        }  # fmt: skip
        await service(scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def answer(self) -> httpx.Response:
        body = b"".join(message.get("body", b"") for message in self.sent)
        return httpx.Response(self.status, headers=self.sent[0]["headers"], content=body)

    def is_refused(self, status: int, code: str) -> bool:
        problem = self.answer.json()
        assert self.answer.headers["content-type"] == "application/problem+json"
        assert problem["request_id"] == self.answer.headers["x-request-id"]
        return (self.status, problem["status"], problem["code"]) == (status, status, code)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[FastAPI]:
    service = create_app(settings)
    async with service.router.lifespan_context(service):
        yield service


@pytest.fixture
async def short(settings: Settings) -> AsyncIterator[FastAPI]:
    """A service with short deadlines and little room."""
    limits = {"body_timeout": 1.0, "request_timeout": 2.0, "max_in_flight": 2, "max_body_bytes": 50_000}
    async with opened(settings.model_copy(update=limits)) as service:
        yield service


@pytest.fixture
def keyed(settings: Settings, tmp_path: Path) -> Settings:
    file = tmp_path / "keys"
    lines = [f"{hashlib.sha256(key.encode()).hexdigest()} {name}" for name, key in KEYS.items()]
    file.write_text("\n".join(["# who may ask", "", *lines]))
    return settings.model_copy(update={"api_keys_file": file})


class Slow:
    """A verifier that takes its time; `cancelled` tells whether it was stopped at it."""

    cancelled = False

    async def embed(self, *_: object) -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            self.cancelled = True
            raise


BAD_KEYS: dict[str, list[Header]] = {
    "none": [],
    "wrong": [(b"x-api-key", b"wrong")],
    "empty": [(b"x-api-key", b"")],
    "blank bearer": [(b"authorization", b"Bearer ")],
    "another scheme": [(b"authorization", b"Basic " + ANNA[1])],
    "no scheme": [(b"authorization", ANNA[1])],
    "doubled": [ANNA, ANNA],
    "two": [ANNA, BERTA],
    "in both headers": [ANNA, (b"authorization", b"Bearer " + ANNA[1])],
    "its digest": [(b"x-api-key", hashlib.sha256(ANNA[1]).hexdigest().encode())],
    "not ASCII": [(b"x-api-key", "schlüssel".encode())],
    "a megabyte": [(b"x-api-key", b"k" * 2**20)],
}


@pytest.mark.parametrize("name", BAD_KEYS)
async def test_without_its_key_nothing_is_read(keyed: Settings, name: str) -> None:
    async with opened(keyed) as service:
        for path in ("/verify", "/embed"):
            call = await Call(BAD_KEYS[name], path).to(service)
            assert call.is_refused(401, "unauthorized")
            assert call.answer.headers["www-authenticate"] == "Bearer"
            assert call.read == 0


async def test_each_key_opens_in_either_header(keyed: Settings) -> None:
    async with opened(keyed) as service:
        for _, key in (ANNA, BERTA):
            assert (await Call([(b"x-api-key", key)]).to(service)).status == 200
            assert (await Call([(b"authorization", b"bearer " + key)]).to(service)).status == 200


async def test_only_probes_and_documentation_are_open(keyed: Settings) -> None:
    async with opened(keyed) as service:
        for path in ("/model", "/metrics", "/nothing", "/static-offline-docs", "/page"):
            assert (await Call(path=path, method="GET").to(service)).is_refused(401, "unauthorized")
        for path in (*OPEN, "/static-offline-docs/swagger-ui.css"):
            assert (await Call(path=path, method="GET").to(service)).status in (200, 404)
        paths = service.openapi()["paths"]
        needing = {path for path, item in paths.items() for operation in item.values() if "security" in operation}
        assert needing == {"/verify", "/embed", "/model", "/metrics"}


HERE = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]
ELSEWHERE = ["192.0.2.7", "10.0.0.1", "2001:db8::1", "localhost", None]


@pytest.mark.parametrize("client", [*HERE, *ELSEWHERE])
async def test_without_keys_only_this_machine_is_served(settings: Settings, client: str | None) -> None:
    served = client in HERE
    async with opened(settings) as service:
        call = await Call(client=client).to(service)
        assert call.status == 200 if served else call.is_refused(401, "unauthorized")
        assert (call.read > 0) == served
        assert (await Call(path="/livez", method="GET", client=client).to(service)).status == 200
    async with opened(settings.model_copy(update={"allow_keyless": True})) as service:
        assert (await Call(client=client).to(service)).status == 200


async def test_a_key_counts_although_the_service_is_told_to_serve_anyone(keyed: Settings) -> None:
    async with opened(keyed.model_copy(update={"allow_keyless": True})) as service:
        assert (await Call().to(service)).is_refused(401, "unauthorized")


async def test_each_key_has_its_quota(keyed: Settings) -> None:
    async with opened(keyed.model_copy(update={"requests_per_minute": 3})) as service:
        assert [(await Call([ANNA]).to(service)).status for _ in range(3)] == [200] * 3
        refused = await Call([ANNA]).to(service)
        assert refused.is_refused(429, "rate_limited")
        assert refused.read == 0
        assert 15 <= int(refused.answer.headers["retry-after"]) <= 20
        assert (await Call([BERTA]).to(service)).status == 200
        assert (await Call([ANNA], "/model", "GET").to(service)).status == 200


async def test_more_than_may_be_in_flight_is_refused_unread(short: FastAPI) -> None:
    stalled = [asyncio.create_task(Call(pieces=[BODY[:99], 0.1, BODY[99:]]).to(short)) for _ in range(2)]
    await asyncio.sleep(0.02)
    refused = await Call().to(short)
    assert refused.is_refused(503, "overloaded")
    assert (refused.answer.headers["retry-after"], refused.read) == ("1", 0)
    assert (await Call(path="/livez", method="GET").to(short)).status == 200
    assert [(await call).status for call in stalled] == [200, 200]
    assert (await Call().to(short)).status == 200


@pytest.mark.parametrize("announced", [True, False])
async def test_bodies_are_bounded_together(settings: Settings, announced: bool) -> None:
    small = settings.model_copy(update={"max_in_flight_bytes": len(BODY) + 10, "max_body_bytes": 2 * len(BODY)})
    async with opened(small) as service:
        first = asyncio.create_task(Call(pieces=[BODY[:99], 0.1, BODY[99:]]).to(service))
        await asyncio.sleep(0.02)
        refused = await Call(length=None if announced else 0).to(service)
        assert refused.is_refused(503, "overloaded")
        assert refused.read == 0
        assert (await first).status == 200
        assert (await Call(length=0).to(service)).status == 200  # alone, any size is let in


TOO_LARGE = b"P5" + bytes(60_000)


@pytest.mark.parametrize(
    ("call", "read"),
    [
        (Call(pieces=[TOO_LARGE]), 0),
        (Call(pieces=[], length=10 * 2**30), 0),
        (Call(pieces=[], length=10**30), 0),
        (Call(pieces=[PART, *[bytes(1000)] * 1000], length=0), 51),
        (Call(pieces=[PART, *[bytes(1000)] * 1000], length=1000), 51),
    ],
    ids=["announced", "ten gigabytes", "digits without end", "chunked", "more than announced"],
)
async def test_a_body_over_the_limit_is_not_read_on(short: FastAPI, call: Call, read: int) -> None:
    await call.to(short)
    assert call.is_refused(413, "body_too_large")
    assert call.answer.headers["connection"] == "close"
    assert call.read <= read
    assert (await Call().to(short)).status == 200


async def test_a_file_over_the_limit_inside_a_legal_body_is_the_same(settings: Settings) -> None:
    async with opened(settings.model_copy(update={"max_file_bytes": 5000})) as service:
        call = await Call(pieces=[BODY[:6000], BODY[6000:7000], *[b""] * 50]).to(service)
        assert call.is_refused(413, "file_too_large")
        assert call.answer.headers["connection"] == "close"
        assert call.read == 1


async def test_a_head_over_the_limit_is_refused(short: FastAPI) -> None:
    many: list[Header] = [(b"x%d" % n, b"y") for n in range(10_000)]
    for headers in ([(b"x", b"y" * 20_000)], many):
        call = await Call(headers).to(short)
        assert call.is_refused(400, "head_invalid")
        assert call.read == 0


@pytest.mark.parametrize("sent", [0, 99, len(BODY) - 1])
async def test_a_body_that_stalls_is_given_up(short: FastAPI, sent: int) -> None:
    began = time.monotonic()
    call = await Call(pieces=[BODY[:sent], 50.0, BODY[sent:]]).to(short)
    assert call.is_refused(408, "request_timeout")
    assert call.answer.headers["connection"] == "close"
    assert 0.9 < time.monotonic() - began < 40
    assert (await Call().to(short)).status == 200


async def test_a_body_that_trickles_is_given_up(short: FastAPI) -> None:
    pieces: list[bytes | float] = [piece for byte in BODY[:50] for piece in (bytes([byte]), 0.05)]
    assert (await Call(pieces=pieces, length=len(BODY)).to(short)).is_refused(408, "request_timeout")


async def test_work_that_takes_too_long_is_given_up(short: FastAPI) -> None:
    whole, slow = short.state.verifier, Slow()
    short.state.verifier = slow
    began = time.monotonic()
    call = await Call(pieces=[BODY[:99], 0.15, BODY[99:]]).to(short)  # the client's time is not the service's
    assert call.is_refused(503, "deadline_exceeded")
    assert call.answer.headers["retry-after"] == "1"
    assert 2.1 < time.monotonic() - began < 40
    assert slow.cancelled
    short.state.verifier = whole
    assert (await Call().to(short)).status == 200


async def test_work_for_a_client_that_left_is_stopped(short: FastAPI) -> None:
    whole, slow = short.state.verifier, Slow()
    short.state.verifier = slow
    call = await Call(leaves_after=0.05).to(short)
    assert (call.sent, slow.cancelled) == ([], True)
    assert short.state.admission.in_flight == 0
    assert b'facepair_requests_total{route="/embed",status="499"} 1.0' in short.state.metrics.text()
    short.state.verifier = whole
    assert (await Call().to(short)).status == 200


async def test_a_service_that_drains_says_so_and_finishes_what_it_let_in(short: FastAPI) -> None:
    admitted = asyncio.create_task(Call(pieces=[BODY[:99], 0.1, BODY[99:]]).to(short))
    await asyncio.sleep(0.02)
    short.state.admission.draining = True
    for call in (Call(), Call(path="/readyz", method="GET")):
        assert (await call.to(short)).is_refused(503, "draining")
        assert call.answer.headers["retry-after"] == "5"
        assert call.read == 0
    assert (await Call(path="/livez", method="GET").to(short)).status == 200
    assert (await admitted).status == 200


async def test_a_path_under_a_proxy_is_judged_like_any_other(keyed: Settings) -> None:
    async with opened(keyed) as service:

        async def under(path: str) -> int:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(service, root_path="/faces"), base_url="http://t"
            ) as c:
                return (await c.get(path)).status_code

        assert [await under(path) for path in ("/faces/livez", "/faces/model", "/faces/page/../model")] == [
            200, 401, 401,
        ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing",
        "abc",
        "0" * 63,
        "0" * 64 + " two names",
        "0" * 64 + " a verify x",
        "0" * 64 + " a all",
        f"{'0' * 64} a\n{'1' * 64} a",
        f"{'0' * 64}\n" * 2,
    ],
)
def test_a_file_of_keys_that_is_wrong_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(KeysError) as caught:
        read_keys(tmp_path / "keys")
    assert "\n" not in str(caught.value)
    assert "0000" not in str(caught.value)


def test_a_file_of_keys_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="cannot be read"):
        read_keys(tmp_path / "keys")
    (tmp_path / "keys").write_bytes(b"\xff")
    with pytest.raises(KeysError, match="cannot be read"):
        read_keys(tmp_path / "keys")


def test_a_digest_is_read_as_the_usual_tools_print_it(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"k").hexdigest()
    (tmp_path / "keys").write_text(f"{digest}  -\n{'A' * 64}\n")
    assert read_keys(tmp_path / "keys") == {"-": Key(bytes.fromhex(digest)), "key-2": Key(b"\xaa" * 32)}


async def test_a_length_of_thousands_of_digits_is_too_large(short: FastAPI) -> None:
    call = await Call([(b"content-length", b"9" * 5000)], pieces=[], length=0).to(short)
    assert call.is_refused(413, "body_too_large")


def test_a_key_is_compared_with_every_digest_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {name: Key(hashlib.sha256(name.encode()).digest()) for name in ("anna", "berta", "carla")}
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("app.keys.hmac.compare_digest", compare)
    assert Keys(known).caller(Headers({"x-api-key": "anna"}), None) == "anna"
    with pytest.raises(UnauthorizedError):
        Keys(known).caller(Headers({"x-api-key": "dora"}), None)
    shown = [hashlib.sha256(key).digest() for key in (b"anna", b"dora")]
    assert compared == [(digest, other) for digest in shown for other in (key.digest for key in known.values())]


@pytest.mark.parametrize("key", [b"", b"k" * 513, "schlüssel".encode()])
def test_what_is_no_key_opens_nothing_although_its_digest_is_known(key: bytes) -> None:
    with pytest.raises(UnauthorizedError):
        Keys({"anna": Key(hashlib.sha256(key).digest())}).caller(Headers(raw=[(b"x-api-key", key)]), None)


async def test_what_is_refused_for_load_costs_no_quota(keyed: Settings) -> None:
    async with opened(keyed.model_copy(update={"requests_per_minute": 2, "max_in_flight": 1})) as service:
        first = asyncio.create_task(Call([ANNA], pieces=[BODY[:99], 0.3, BODY[99:]]).to(service))
        await asyncio.sleep(0.02)
        assert (await Call([ANNA]).to(service)).is_refused(503, "overloaded")
        assert (await first).status == 200
        assert (await Call([ANNA]).to(service)).status == 200


class Late:
    """A verifier that notes how many seconds it is given."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def embed(self, _: bytes, deadline: float) -> None:
        self.seconds.append(deadline - time.monotonic())
        raise DeadlineExceededError


async def test_the_time_for_the_work_counts_from_the_whole_body(short: FastAPI) -> None:
    short.state.verifier = late = Late()
    assert (await Call(pieces=[BODY[:99], 0.1, BODY[99:]]).to(short)).is_refused(503, "deadline_exceeded")
    [seconds] = late.seconds
    assert seconds <= short.state.settings.request_timeout


@dataclass
class Unhurried(Call):
    """A client that takes each part of its answer late."""

    async def send(self, message: Message) -> None:
        await asyncio.sleep(2.5)
        await super().send(message)


async def test_a_client_may_take_its_answer_slowly(short: FastAPI) -> None:
    assert (await Unhurried().to(short)).answer.json()["dimension"] == 50


async def test_a_client_that_leaves_within_its_body_is_counted_as_gone(short: FastAPI) -> None:
    await Call(pieces=[BODY[:99], 0.0], length=len(BODY), leaves_after=0).to(short)
    counted = short.state.metrics.text()
    assert b'facepair_requests_total{route="/embed",status="499"} 1.0' in counted
    assert b"facepair_errors_total{" not in counted


async def test_a_fault_after_the_answer_began_breaks_it_off(short: FastAPI) -> None:
    async def faulty(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("a fault")

    state = short.state
    gate = Gate(
        faulty, settings=state.settings, keys=Keys({}), admission=state.admission, metrics=state.metrics, routes=set()
    )
    call = Call(method="GET")
    with pytest.raises(RuntimeError, match="a fault"):
        await call.to(gate)  # type: ignore[arg-type] # is called as a service is
    assert [message["type"] for message in call.sent] == ["http.response.start"]
