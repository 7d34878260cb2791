"""Who comes in, with how much and for how long; driven as a server would, so that it shows what is read."""

import asyncio
import hashlib
import re
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import makers
import pytest
from fastapi import FastAPI
from services import PATIENCE
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from app.gate import PUBLIC_PATHS, Gate
from app.inference.batching import DeadlineExceededError, QueueFullError
from app.keys import Key, Keys, KeysError, UnauthorizedError, read_keys
from app.main import create_app
from app.operations import Readiness
from app.settings import Settings

pytestmark = pytest.mark.anyio

PICTURE = makers.encoded(makers.face(1), "PPM")
PART = b'--b\r\nContent-Disposition: form-data; name="image"; filename="f"\r\n\r\n'
BODY = PART + PICTURE + b"\r\n--b--\r\n"
FORM = (b"content-type", b"multipart/form-data; boundary=b")
KEYS = {"anna": "correct horse", "berta": "battery staple"}
ANNA, BERTA = ((b"x-api-key", key.encode()) for key in KEYS.values())
Header = tuple[bytes, bytes]


class Pause:
    """A place in a body where its client brings nothing more, until told to go on."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def wait(self) -> None:
        self.reached.set()
        await self.go_on.wait()


@dataclass
class Call:
    """One request as the server hands it over: its body in pieces, each perhaps late; how much of it was read."""

    headers: list[Header] = field(default_factory=list)
    path: str = "/embed"
    method: str = "POST"
    pieces: list[bytes | float | Pause] = field(default_factory=lambda: [BODY])
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
            if isinstance(piece, Pause):
                await piece.wait()
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
        if self.method != "POST" and not {b"content-length", b"transfer-encoding"} & dict(self.headers).keys():
            self.pieces = [b""]  # without a field that says so there is no body
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
    """A verifier that takes its time, until told to go on; `cancelled` tells whether it was stopped at it."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.cancelled = False
        self.working = 0

    async def embed(self, *_: object) -> None:
        self.working += 1
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        raise QueueFullError

    async def has(self, pictures: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.working < pictures:
                await asyncio.sleep(0)


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
        for path in (*PUBLIC_PATHS, "/static-offline-docs/swagger-ui.css"):
            assert (await Call(path=path, method="GET").to(service)).status in (200, 404)
        paths = service.openapi()["paths"]
        needing = {path for path, item in paths.items() for operation in item.values() if "security" in operation}
        assert needing == {"/verify", "/embed", "/compare", "/model", "/metrics"}


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


async def test_without_keys_each_address_has_its_quota(settings: Settings) -> None:
    limits = {"requests_per_minute": 1, "allow_keyless": True}
    async with opened(settings.model_copy(update=limits)) as service:
        answers = [await Call(client=client).to(service) for client in ("192.0.2.1", "192.0.2.1", "192.0.2.2")]
        assert [answer.status for answer in answers] == [200, 429, 200]


async def test_a_clock_that_jumps_gives_no_quota_and_ends_no_request(
    keyed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall, ahead = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: wall() + ahead)
    async with opened(keyed.model_copy(update={"requests_per_minute": 3})) as service:
        for ahead in (0.0, 1e8, -1e8):  # noqa: B007 - read above; seconds: three years
            assert (await Call([ANNA]).to(service)).status == 200
            assert (await Call(path="/readyz", method="GET").to(service)).status == 200
        for ahead in (1e8, 0.0, 2e8):  # noqa: B007
            assert (await Call([ANNA]).to(service)).is_refused(429, "rate_limited")
        assert (await Call(path="/readyz", method="GET").to(service)).status == 200


async def test_more_than_may_be_worked_on_is_refused_unread(short: FastAPI) -> None:
    whole, short.state.verifier = short.state.verifier, (slow := Slow())
    working = [asyncio.create_task(Call().to(short)) for _ in range(2)]
    await slow.has(2)
    refused = await Call().to(short)
    assert refused.is_refused(503, "overloaded")
    assert (refused.answer.headers["retry-after"], refused.read) == ("1", 0)
    assert (await Call(path="/livez", method="GET").to(short)).status == 200
    slow.go_on.set()
    for call in await asyncio.gather(*working):
        assert call.is_refused(503, "overloaded")
    short.state.verifier = whole
    assert (await Call().to(short)).status == 200


async def test_what_came_whole_when_others_had_begun_is_refused(short: FastAPI) -> None:
    whole, short.state.verifier = short.state.verifier, (slow := Slow())
    late = asyncio.create_task(Call(pieces=[BODY[:99], pause := Pause(), BODY[99:]]).to(short))
    await pause.reached.wait()
    working = [asyncio.create_task(Call().to(short)) for _ in range(2)]
    await slow.has(2)
    pause.go_on.set()
    assert (await late).is_refused(503, "overloaded")
    slow.go_on.set()
    await asyncio.gather(*working)
    short.state.verifier = whole
    assert (await Call().to(short)).status == 200


async def test_many_uploads_that_stall_keep_nobody_out(short: FastAPI) -> None:
    pauses = [Pause() for _ in range(100)]
    stalled = [asyncio.create_task(Call(pieces=[BODY[:99], pause], length=40_000).to(short)) for pause in pauses]
    for pause in pauses:
        await pause.reached.wait()
    assert (await Call().to(short)).status == 200
    assert {(await call).status for call in stalled} == {408}


@pytest.mark.parametrize("declared", [True, False])
async def test_bodies_are_bounded_together(settings: Settings, declared: bool) -> None:
    small = settings.model_copy(update={"max_in_flight_bytes": len(BODY) + 10, "max_body_bytes": 2 * len(BODY)})
    async with opened(small) as service:
        first = asyncio.create_task(Call(pieces=[BODY[:99], pause := Pause(), BODY[99:]]).to(service))
        await pause.reached.wait()
        refused = await Call(length=None if declared else 0).to(service)
        pause.go_on.set()
        assert refused.is_refused(503, "overloaded")
        assert refused.read == (0 if declared else 1)  # what is not declared is charged as it comes
        assert (await first).status == 200
        assert (await Call(length=0).to(service)).status == 200  # alone, any size is let in


async def test_bytes_that_were_not_declared_are_charged_too(settings: Settings) -> None:
    small = settings.model_copy(update={"max_in_flight_bytes": 2 * len(BODY)})
    async with opened(small) as service:
        first = asyncio.create_task(Call(pieces=[BODY[:-9], pause := Pause(), BODY[-9:]], length=3).to(service))
        await pause.reached.wait()
        assert (await Call(pieces=[BODY[:-9], BODY[-9:], b""], length=3).to(service)).is_refused(503, "overloaded")
        pause.go_on.set()
        assert (await first).status == 200


async def test_room_goes_to_who_brings_something(settings: Settings) -> None:
    limits = {"max_in_flight_bytes": 3 * len(BODY), "body_timeout": 60.0, "header_timeout": 60.0}
    async with opened(settings.model_copy(update=limits)) as service:
        pauses = [Pause(), Pause()]
        stalled = [asyncio.create_task(Call(pieces=[BODY[:-9], pause, BODY[-9:]]).to(service)) for pause in pauses]
        for pause in pauses:
            await pause.reached.wait()
        await asyncio.sleep(1.2)  # more than the second after which an upload counts as stalled
        assert (await Call().to(service)).status == 200
        first, other = await asyncio.wait(stalled, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result().is_refused(408, "request_timeout") for task in first] == [True]
        for task in other:
            task.cancel()


async def test_a_body_below_the_lowest_rate_is_given_up(settings: Settings) -> None:
    limits = {"header_timeout": 1.0, "min_upload_rate": 1000, "body_timeout": 60.0}
    pieces: list[bytes | float | Pause] = [piece for byte in BODY[:100] for piece in (bytes([byte]), 0.05)]
    async with opened(settings.model_copy(update=limits)) as service:
        call = await Call(pieces=pieces, length=len(BODY)).to(service)
        assert call.is_refused(408, "request_timeout")
        assert call.read < 50
        fast: list[bytes | float | Pause] = [
            piece for n in range(0, len(BODY), 900) for piece in (0.04, BODY[n : n + 900])
        ]
        assert (await Call(pieces=fast).to(service)).status == 200  # as long, but faster


@pytest.mark.parametrize(("method", "path"), [("GET", "/livez"), ("GET", "/model"), ("DELETE", "/embed")])
@pytest.mark.parametrize("length", [None, 0])
async def test_a_body_that_means_nothing_is_refused_unread(
    short: FastAPI, method: str, path: str, length: int | None
) -> None:
    framing = (b"content-length", b"%d" % len(BODY)) if length is None else (b"transfer-encoding", b"chunked")
    call = await Call([framing], path, method).to(short)
    assert call.is_refused(413, "body_too_large")
    assert (call.read, call.answer.headers["connection"]) == (0, "close")


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


async def test_for_a_path_longer_than_any_nothing_is_looked_for(short: FastAPI) -> None:
    asked: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        await short(scope, receive, send)

    state = short.state
    gate = Gate(inner, settings=state.settings, keys=Keys({}), admission=state.admission, record=state.record)
    for path in ("/page/" + "a/" * 600, "/static-offline-docs/" + "../" * 400, "/page/page.js"):
        call = await Call(path=path, method="GET").to(gate)  # type: ignore[arg-type] # is called as a service is
        assert call.status == 200 or call.is_refused(404, "not_found")
    assert asked == ["/page/page.js"]


@pytest.mark.parametrize("sent", [0, 99, len(BODY) - 1])
async def test_a_body_that_stalls_is_given_up(short: FastAPI, sent: int) -> None:
    began = time.monotonic()
    call = await Call(pieces=[BODY[:sent], 50.0, BODY[sent:]]).to(short)
    assert call.is_refused(408, "request_timeout")
    assert call.answer.headers["connection"] == "close"
    assert 0.9 < time.monotonic() - began < 40
    assert (await Call().to(short)).status == 200


async def test_a_body_that_trickles_is_given_up(short: FastAPI) -> None:
    pieces: list[bytes | float | Pause] = [piece for byte in BODY[:50] for piece in (bytes([byte]), 0.05)]
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


async def test_work_without_a_body_for_a_client_that_left_is_stopped(short: FastAPI) -> None:
    cancelled = []

    async def check() -> None:
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    short.state.readiness = Readiness(check)
    call = await Call(path="/readyz", method="GET", leaves_after=0.05).to(short)
    assert (call.sent, cancelled) == ([], [True])
    assert b'facepair_requests_total{route="/readyz",status="499"} 1.0' in short.state.metrics.text()


class Unread(Call):
    """Its client does not take the answer, until told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.pause = Pause()

    async def send(self, message: Message) -> None:
        await super().send(message)
        if message["type"] == "http.response.body":
            await self.pause.wait()


async def test_who_does_not_take_an_answer_keeps_nobody_out(short: FastAPI) -> None:
    unread = [Unread(), Unread(), Unread()]
    answers = []
    for call in unread:
        answers.append(asyncio.create_task(call.to(short)))
        await call.pause.reached.wait()
    assert (await Call().to(short)).status == 200
    assert short.state.admission.in_flight == len(unread)
    for call in unread:
        call.pause.go_on.set()
    assert [(await answer).status for answer in answers] == [200] * len(unread)


@pytest.mark.parametrize(("ending", "status"), [(b"\r\n--b--\r\n", 200), (b"\r\n--bX", 400), (b"\r\n" + PART, 422)])
async def test_while_an_answer_waits_for_its_client_nothing_of_the_upload_is_held(
    settings: Settings, ending: bytes, status: int
) -> None:
    picture = b"P5 4000 1000 255\n" + bytes(4_000_000)
    unread = Unread()
    unread.pieces = [PART, picture, ending]
    async with opened(settings.model_copy(update={"max_in_flight_bytes": 6_000_000})) as service:
        tracemalloc.start()
        answer = asyncio.create_task(unread.to(service))
        await unread.pause.reached.wait()
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        other = Call(pieces=[PART, picture, b"\r\n--b--\r\n"], client="127.0.0.2")
        assert (await other.to(service)).status == 200
        unread.pause.go_on.set()
        assert (await answer).status == status
    assert held < 1_000_000


async def test_what_is_refused_before_it_is_whole_never_gives_way(settings: Settings) -> None:
    refused, stall = Unread(), Pause()
    refused.pieces, refused.length = [BODY[:-9] + b"\r\n" + PART, stall], 2 * len(BODY)
    async with opened(settings.model_copy(update={"max_in_flight_bytes": len(BODY)})) as service:
        answer = asyncio.create_task(refused.to(service))
        await refused.pause.reached.wait()
        service.state.admission._clock = lambda: time.monotonic() + 100
        assert (await Call().to(service)).status == 200
        refused.pause.go_on.set()
        assert (await answer).is_refused(422, "invalid_parameter")


async def test_a_service_that_drains_says_so_and_finishes_what_it_let_in(short: FastAPI) -> None:
    admitted = asyncio.create_task(Call(pieces=[BODY[:99], pause := Pause(), BODY[99:]]).to(short))
    await pause.reached.wait()
    short.state.admission.draining = True
    for call in (Call(), Call(path="/readyz", method="GET")):
        assert (await call.to(short)).is_refused(503, "draining")
        assert call.answer.headers["retry-after"] == "5"
        assert call.read == 0
    assert (await Call(path="/livez", method="GET").to(short)).status == 200
    pause.go_on.set()
    assert (await admitted).status == 200


async def test_a_path_under_a_proxy_is_judged_like_any_other(keyed: Settings) -> None:
    async with opened(keyed) as service:

        async def under(path: str) -> int:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(service, root_path="/faces"), base_url="http://localhost"
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
        "0" * 64 + " keyless",
        "0" * 64 + " facepair verify",
        "0" * 64 + " operator",
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


@pytest.mark.parametrize("end", ["\r", "\v", "\f", "\x1c", "\x85", "\u2028"])
def test_only_a_line_feed_ends_a_comment(tmp_path: Path, end: str) -> None:
    (tmp_path / "keys").write_text(f"# no longer: {end}{'0' * 64} mallory\r\n{'A' * 64} anna\r\n", newline="")
    assert read_keys(tmp_path / "keys") == {"anna": Key(b"\xaa" * 32)}


async def test_a_length_of_thousands_of_digits_is_too_large(short: FastAPI) -> None:
    call = await Call([(b"content-length", b"9" * 5000)], pieces=[], length=0).to(short)
    assert call.is_refused(413, "body_too_large")


def test_a_key_is_compared_once_and_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {name: Key(hashlib.sha256(name.encode()).digest()) for name in ("anna", "berta", "carla")}
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("app.keys.hmac.compare_digest", compare)
    assert Keys(known).caller(Headers({"x-api-key": "anna"}), None) == "anna"
    with pytest.raises(UnauthorizedError):
        Keys(known).caller(Headers({"x-api-key": "dora"}), None)
    anna, dora = (hashlib.sha256(key).digest() for key in (b"anna", b"dora"))
    assert compared == [(anna, anna), (dora, b"")]


def test_where_a_key_is_looked_up_is_a_secret_of_the_process() -> None:
    """Nothing that a caller can try out says how near it is to a key, nor which of many it has."""
    digest = hashlib.sha256(b"anna").digest()
    one, other = ({*Keys({"anna": Key(digest)})._owners} for _ in range(2))
    assert one.isdisjoint(other)
    assert digest not in one


async def test_a_hundred_thousand_keys_are_read_and_found(tmp_path: Path) -> None:
    names = [f"key-of-{number}" for number in range(100_000)]
    (tmp_path / "keys").write_text("\n".join(f"{hashlib.sha256(name.encode()).hexdigest()} {name}" for name in names))
    keys = Keys(read_keys(tmp_path / "keys"))
    for name in names[::9999]:
        assert keys.caller(Headers({"x-api-key": name}), None) == name
    with pytest.raises(UnauthorizedError):
        keys.caller(Headers({"x-api-key": "key-of-nobody"}), None)


@pytest.mark.parametrize("key", [b"", b"k" * 513, "schlüssel".encode()])
def test_what_is_no_key_opens_nothing_although_its_digest_is_known(key: bytes) -> None:
    with pytest.raises(UnauthorizedError):
        Keys({"anna": Key(hashlib.sha256(key).digest())}).caller(Headers(raw=[(b"x-api-key", key)]), None)


async def test_what_is_refused_for_load_costs_no_quota(keyed: Settings) -> None:
    async with opened(keyed.model_copy(update={"requests_per_minute": 2, "max_in_flight": 1})) as service:
        whole, service.state.verifier = service.state.verifier, (slow := Slow())
        first = asyncio.create_task(Call([ANNA]).to(service))
        await slow.has(1)
        assert (await Call([ANNA]).to(service)).is_refused(503, "overloaded")
        slow.go_on.set()
        await first
        service.state.verifier = whole
        assert (await Call([ANNA]).to(service)).status == 200


class Late:
    """A verifier that notes how many seconds it is given."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def embed(self, _: bytes, deadline: float, __: str) -> None:
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
    assert set(re.findall(rb"^facepair_errors_total{.*} (.+)$", counted, flags=re.M)) == {b"0.0"}


async def test_a_fault_after_the_answer_began_breaks_it_off(short: FastAPI) -> None:
    async def faulty(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("a fault")

    state = short.state
    gate = Gate(faulty, settings=state.settings, keys=Keys({}), admission=state.admission, record=state.record)
    call = Call(method="GET")
    with pytest.raises(RuntimeError, match="a fault"):
        await call.to(gate)  # type: ignore[arg-type] # is called as a service is
    assert [message["type"] for message in call.sent] == ["http.response.start"]


LOOPBACK = ["localhost", "LOCALHOST:8000", "a.localhost", "127.0.0.1:8000", "[::1]:8000", "192.0.2.7", "test:80"]
STRANGE = [
    "evil.example",
    "evil.example:8000",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "facepair",
    "",
    "[::1",
    "[::1].evil.example",
    "evil.example@localhost",
    "localhost/evil.example",
    "localhost#evil.example",
    "local\thost",
]


@pytest.mark.parametrize("host", [*LOOPBACK, *STRANGE])
async def test_without_keys_only_names_of_ours_are_served(settings: Settings, host: str) -> None:
    """A page whose own name was made to resolve to this machine can read nothing and have nothing done."""
    async with opened(settings.model_copy(update={"allowed_hosts": "test, other.example"})) as service:
        for call in (
            Call([(b"host", host.encode())], "/metrics", "GET"),
            Call([(b"host", host.encode()), (b"origin", b"http://" + host.encode())]),
        ):
            await call.to(service)
            assert call.status == 200 if host in LOOPBACK else call.is_refused(403, "origin_not_allowed")
        assert (await Call([(b"host", host.encode())], "/livez", "GET").to(service)).status == 200


ELSEWHERE_IN_A_BROWSER: list[list[Header]] = [
    [(b"origin", b"https://evil.example")],
    [(b"origin", b"http://localhost:3000")],
    [(b"origin", b"null")],
    [(b"origin", b"http://[")],
    [(b"origin", b"http://a:@[]")],
    [(b"sec-fetch-site", b"cross-site")],
    [(b"origin", b"http://localhost:80"), (b"sec-fetch-site", b"cross-site")],
    [(b"origin", b"http://localhost:80"), (b"origin", b"https://evil.example")],
    [(b"sec-fetch-site", b"same-origin"), (b"sec-fetch-site", b"Cross-Site")],
]


@pytest.mark.parametrize("headers", ELSEWHERE_IN_A_BROWSER)
async def test_other_web_sites_have_no_work_done_here(
    settings: Settings, keyed: Settings, headers: list[Header]
) -> None:
    headers = [(b"host", b"localhost:80"), *headers]
    async with opened(settings) as service:
        call = await Call(headers).to(service)
        assert call.is_refused(403, "origin_not_allowed")
        assert call.read == 0
        ours = [(b"host", b"localhost:80"), (b"origin", b"http://localhost:80"), (b"sec-fetch-site", b"same-origin")]
        assert (await Call(ours).to(service)).status == 200
    async with opened(keyed) as service:  # which no page of elsewhere has
        assert (await Call([*headers, ANNA]).to(service)).status == 200


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/openapi.json", "/model", "/metrics", "/livez", "/page/page.js", "/nothing"]
)
async def test_no_answer_is_sniffed_framed_or_kept(settings: Settings, path: str) -> None:
    async with opened(settings) as service:
        headers = (await Call(path=path, method="GET").to(service)).answer.headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == ("no-cache" if path in ("/", "/page/page.js") else "no-store")


@pytest.mark.parametrize("value", [b"bytes=0-", b"bytes=999999999-", b"bytes=a", b"lines=1", b""])
@pytest.mark.parametrize("path", ["/", "/page/page.js", "/static-offline-docs/swagger-ui.css"])
async def test_ranges_are_ignored(settings: Settings, path: str, value: bytes) -> None:
    async with opened(settings) as service:
        call = await Call([(b"range", value)], path, "GET", pieces=[b""]).to(service)
        assert (call.status, "accept-ranges" in call.answer.headers) == (200, False)


@pytest.mark.parametrize(
    "filling",
    [
        b"\r\n--bX" * 10_000,
        PART + b"\r\n--b\r\n" * 10_000,
        (PART + b"x\r\n") * 10_000,
        b"--b\r\n" + b"A: b\r\n" * 10_000,
    ],
    ids=["near delimiters", "empty parts", "parts", "headers"],
)
async def test_ten_thousand_of_anything_in_a_form_are_refused_early(settings: Settings, filling: bytes) -> None:
    whole = PART + filling if filling.startswith(b"\r") else filling
    pieces: list[bytes | float | Pause] = [whole[start : start + 4096] for start in range(0, len(whole), 4096)]
    async with opened(settings) as service:
        call = await Call(pieces=pieces).to(service)
        assert call.status in (400, 422)
        assert call.answer.headers["content-type"] == "application/problem+json"
        assert call.read <= 3
        assert (await Call().to(service)).status == 200
