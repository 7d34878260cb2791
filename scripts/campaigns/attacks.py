"""What a few connections send to keep others out: each attack for a bounded time, at most at a bounded rate."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
from campaigns.damaged_pictures import base
from campaigns.expensive_pictures import MAX_PIXELS, interlaced
from numpy.random import Generator
from service.http_client import upload

_BYTES_A_SECOND = 10 * 10**6
_PIECE = 2**16
_FROM = "127.0.0.2"  # another address than the good client's, and no trusted proxy's
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


def _dear_pictures(rng: Generator, plain: bool) -> Attack:
    """Whole uploads of 200 kB and less that take a decoder a second and less."""
    side = math.isqrt(MAX_PIXELS if plain else int(rng.uniform(0.01, 1) * MAX_PIXELS))
    picture = interlaced(side, side, level=9, depth=16 if plain else int(rng.choice([8, 16])))
    return Attack(8 if plain else int(rng.integers(8, 129)), b"", upload("/embed", image=picture))


def _sound_pictures(rng: Generator, plain: bool) -> Attack:
    """More good requests at once than are worked on, all of one address."""
    one, two = (base(int(rng.integers(2**32)), 0) for _ in range(2))
    return Attack(128 if plain else int(rng.integers(16, 257)), b"", upload("/verify", image1=one, image2=two))


def _any(rng: Generator, choices: Sequence[bytes]) -> bytes:
    return choices[int(rng.integers(len(choices)))]


CLASSES: Mapping[str, Callable[[Generator, bool], Attack]] = {
    "tiny chunks": _tiny_chunks,
    "more than declared": _undeclared,
    "silent uploads": _silent,
    "near delimiters": _near_delimiters,
    "dear to read": _dear_to_read,
    "floods": _floods,
    "dear pictures": _dear_pictures,
    "sound pictures": _sound_pictures,
}
