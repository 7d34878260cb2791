"""Campaigns of starvation: what a few connections send to keep others out, and what a good client gets.

Each attack goes on for a bounded time, at most at a bounded rate, and only to the service that this process started. It
comes from a process of its own: in one event loop the good client would wait for the attacker rather than the service.
"""

import asyncio
import json
import math
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from urllib.parse import urlsplit

import numpy as np
from campaigns.damaged_pictures import base
from campaigns.harness import Outcome, Run, fault_of
from numpy.random import Generator
from service.http_client import Answer, Client, upload
from service.process import Running, serving

SECONDS = 60.0
COLUMNS = ("attack", "sent", "good client served", "its p50, p99", "alone", "memory", "`/readyz` within")
"""Of the name under which a case is counted, between semicolons."""
_BYTES_A_SECOND = 10 * 10**6
_EVERY_SECONDS = 0.2
_PIECE = 2**16
_FROM = "127.0.0.2"  # another address than the good client's, and no trusted proxy's
_GROWTH_MB = 100.0 + 256.0  # beyond idle: what may be in flight, and as much as it costs to hold it
_READY_SECONDS = 1.0
_HEAD = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
_PART = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass
class Purse:
    """What all connections of an attack may send together: so many bytes a second, until it ends."""

    ends: float
    sent: int = 0

    def __post_init__(self) -> None:
        self._began = time.monotonic()

    @property
    def open(self) -> bool:
        return time.monotonic() < self.ends

    async def spend(self, size: int) -> None:
        self.sent += size
        ahead = self.sent / _BYTES_A_SECOND - (time.monotonic() - self._began)
        await asyncio.sleep(max(0.0, min(ahead, self.ends - time.monotonic())))


@dataclass(frozen=True)
class Attack:
    """`connections` that each send the head, then the body again and again; broken off, they come again."""

    connections: int
    head: bytes
    body: bytes = b""
    pause: float = 0.0

    async def run(self, address: str, purse: Purse) -> None:
        await asyncio.gather(*(self._connection(address, purse) for _ in range(self.connections)))

    async def _connection(self, address: str, purse: Purse) -> None:
        parts = urlsplit(address)
        while purse.open:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + purse.ends - time.monotonic()):
                    await self._talk(parts.hostname or "", parts.port or 0, purse)
            await asyncio.sleep(0.01)

    async def _talk(self, host: str, port: int, purse: Purse) -> None:
        reader, writer = await asyncio.open_connection(host, port, local_addr=(_FROM, 0))
        ended = asyncio.create_task(reader.read())  # who is answered and half-closed comes again
        try:
            writer.write(self.head)
            await purse.spend(len(self.head))
            while purse.open and not ended.done():
                writer.write(self.body)
                await writer.drain()
                await purse.spend(len(self.body))
                await asyncio.sleep(self.pause if self.body else 0.2)
        finally:
            ended.cancel()
            writer.transport.abort()


def attack(seed: int, number: int) -> tuple[str, Attack]:
    """Case `number`: the first of each class as it was first met, then others of that class."""
    names = list(CLASSES)
    name = names[number % len(names)]
    return name, CLASSES[name](np.random.default_rng([seed, number]), number < len(names))


def _tiny_chunks(rng: Generator, plain: bool) -> Attack:
    size = 1 if plain else int(rng.integers(1, 64))
    note = b"" if plain else b";" + b"a" * int(rng.integers(0, 40))
    chunk = b"%x%b\r\n%b\r\n" % (size, note, b"-" * size)
    target = _any(rng, [b"POST /embed", b"GET /livez", b"POST /verify", b"POST /nothing"])
    head = _HEAD.replace(b"POST /embed", b"POST /embed" if plain else target)
    return Attack(8 if plain else int(rng.integers(1, 33)), head + _CHUNKED, chunk * (_PIECE // len(chunk)))


def _undeclared(rng: Generator, plain: bool) -> Attack:
    """More than is declared, or of which nothing is."""
    first = b"400000\r\n" if plain or rng.random() < 0.5 else b""
    framing = (
        b"Content-Length: 3\r\n" + _CHUNKED if plain else _any(rng, [_CHUNKED, b"Content-Length: 20000000\r\n\r\n"])
    )
    start = first if framing.endswith(_CHUNKED) else b""
    return Attack(60 if plain else int(rng.integers(8, 200)), _HEAD + framing + start + _PART, bytes(_PIECE))


def _silent(rng: Generator, plain: bool) -> Attack:
    declared = b"Content-Length: %d\r\n\r\n" % int(rng.integers(1, 22 * 10**6))
    head = _HEAD + (_CHUNKED if plain else _any(rng, [_CHUNKED, declared, b"", declared + _PART]))
    trickle = b"" if plain or rng.random() < 0.5 else b"-"
    return Attack(13 if plain else int(rng.integers(13, 900)), head, trickle, float(rng.uniform(0.05, 1)))


def _near_delimiters(rng: Generator, plain: bool) -> Attack:
    filling = b"\r\n--b" + (b"X" if plain else rng.bytes(int(rng.integers(1, 6))).replace(b"\r", b"-"))
    head = _HEAD + b"Content-Length: 20000000\r\n\r\n" + _PART
    return Attack(8, head, filling * (_PIECE // len(filling)))


def _dear_to_read(rng: Generator, plain: bool) -> Attack:
    """Whole requests, one behind the other, that are cheap to send and take long to find fault with."""
    count = 40_000 if plain else int(rng.integers(1_000, 40_000))
    fault = b'""' if plain else _any(rng, [b'""', b"[]", b"null", b"1e400", b"true"])
    faults = b",".join([fault] * count)
    members = b",".join(b'"k%d":1' % number for number in range(count))
    bodies = [b'{"others":[[%b]]}' % faults, b'{"embedding":[%b]}' % faults, b"{%b}" % members]
    body = bodies[0] if plain else _any(rng, bodies)
    kind = b"application/json" if plain or rng.random() < 0.5 else b'multipart/form-data; boundary="' + b";" * 15_000
    head = b"POST /compare HTTP/1.1\r\nHost: localhost\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return Attack(8 if plain else int(rng.integers(1, 33)), b"", head % (kind, len(body)) + body)


def _floods(rng: Generator, plain: bool) -> Attack:
    """As many small requests as they are answered, from many connections."""
    lines = [b"GET /livez", b"GET /openapi.json", b"GET /nothing", b"POST /verify"]
    line = lines[0] if plain else _any(rng, lines)
    request = line + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    return Attack(700 if plain else int(rng.integers(100, 900)), b"", request * 100, 1.0)


def _any(rng: Generator, choices: Sequence[bytes]) -> bytes:
    return choices[int(rng.integers(len(choices)))]


CLASSES: Mapping[str, Callable[[Generator, bool], Attack]] = {
    "tiny chunks": _tiny_chunks,
    "more than declared": _undeclared,
    "silent uploads": _silent,
    "near delimiters": _near_delimiters,
    "dear to read": _dear_to_read,
    "floods": _floods,
}


@contextmanager
def starvation(seed: int, bundle_name: str, seconds: float = SECONDS) -> Iterator[Run]:
    """Each case is an attack beside a good client, which must be served; its p50 and p99 are counted as a name."""
    with serving(settings={"FACEPAIR_BUNDLE": bundle_name}) as service, _attacker() as attacker:
        alone = asyncio.run(_measure(service, seed, seconds))

        def run(numbers: Sequence[int]) -> Outcome:
            outcome = Outcome()
            for number in numbers:
                name, case = attack(seed, number)
                found = asyncio.run(_measure(service, seed, seconds, attacker, case))
                outcome.counts["; ".join([name, *found.cells(alone)])] += 1
                outcome.faults.extend(f"case {number}, {name}: {fault}" for fault in found.faults(alone))
            return outcome

        yield run


@dataclass(frozen=True)
class Measured:
    answers: Sequence[Answer]
    ready: Sequence[float]
    """Seconds until /readyz said yes, or infinity."""
    idle_mb: float
    most_mb: float
    sent_mb: float

    def quantile(self, share: float) -> float:
        return float(np.quantile([answer.seconds for answer in self.answers], share))

    def cells(self, alone: "Measured") -> list[str]:
        """As `COLUMNS` names them."""
        served = sum(answer.status == 200 for answer in self.answers)
        times = [f"{1000 * one.quantile(share):.0f}" for one in (self, alone) for share in (0.5, 0.99)]
        return [
            f"{self.sent_mb:,.1f} MB",
            f"{served} of {len(self.answers)}",
            f"{times[0]}, {times[1]} ms",
            f"{times[2]}, {times[3]} ms",
            f"{self.most_mb - self.idle_mb:+.0f} MiB",
            f"{1000 * max(self.ready, default=math.inf):.0f} ms",
        ]

    def faults(self, alone: "Measured") -> Iterator[str]:
        yield from (
            f"a good client: {fault_of(answer) or answer.code}" for answer in self.answers if answer.status != 200
        )
        if self.quantile(0.99) > 10 * alone.quantile(0.99):
            yield "p99 more than ten times that alone"
        if self.most_mb - self.idle_mb > _GROWTH_MB:
            yield "memory grew beyond what may be in flight"
        if max(self.ready, default=math.inf) > _READY_SECONDS:
            yield "not ready within a second"


@contextmanager
def _attacker() -> Iterator[Executor]:
    """A process that has loaded what attacking needs."""
    with ProcessPoolExecutor(1, get_context("spawn")) as attacker:
        attacker.submit(time.monotonic).result()
        yield attacker


def _carry_out(case: Attack, address: str, ends: float) -> int:
    """Bytes sent until then, by the clock that all processes share."""
    purse = Purse(ends)
    asyncio.run(case.run(address, purse))
    return purse.sent


async def _measure(
    service: Running, seed: int, seconds: float, attacker: Executor | None = None, case: Attack | None = None
) -> Measured:
    purse = Purse(time.monotonic() + seconds)
    idle = service.megabytes()
    sent = attacker.submit(_carry_out, case, service.address, purse.ends) if attacker and case else None
    asked = asyncio.create_task(_ask(service, seed, purse))
    ready, most = [], idle
    while purse.open:
        ready.append(await asyncio.to_thread(_ready, service.address))
        most = max(most, service.megabytes())
        await asyncio.sleep(_EVERY_SECONDS)
    answers = await asked
    return Measured(answers, ready, idle, most, (await asyncio.wrap_future(sent) if sent else 0) / 1e6)


async def _ask(service: Running, seed: int, purse: Purse) -> list[Answer]:
    request = upload("/verify", image1=base(seed, 0), image2=base(seed, 1))
    answers = []
    async with Client(service.address) as client:
        while purse.open:
            answers.append(await client.ask(request))
            await asyncio.sleep(_EVERY_SECONDS)
    return answers


def _ready(address: str) -> float:
    began = time.monotonic()
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=10) as answer:  # noqa: S310 - of this machine
            return time.monotonic() - began if json.load(answer)["status"] == "ok" else math.inf
    except (OSError, urllib.error.URLError):
        return math.inf
