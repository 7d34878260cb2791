"""Makes HTTP requests with something wrong in the head or in the multipart body. It knows nothing of who reads them.

Case `number` of `seed` gives the same bytes wherever and in whatever order it is made.
"""

from collections.abc import Callable, Sequence

import numpy as np
from campaigns.damaged_pictures import DAMAGES, base
from numpy.random import Generator
from service.http_client import upload

_LINES: Sequence[bytes] = (
    b"Content-Length: -1", b"Content-Length: 0", b"Content-Length: 5", b"Content-Length: 99999999999999999999",
    b"Content-Length: 0x10", b"Content-Length: 1, 2", b"Content-Length:", b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: gzip", b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: \x0bchunked", b"Expect: 100-continue", b"Expect: the unexpected", b"Connection: close",
    b"Connection: upgrade", b"Upgrade: websocket", b"Host: a\r\nHost: b", b"Host:", b"No colon", b": no name",
    b"Name : spaced", b" folded: line", b"Null: \x00", b"Control: \x01\x7f", b"Latin: \xe9\xff", b"\xff: x",
    b"Content-Type: multipart/form-data", b"Content-Type: multipart/form-data; boundary=",
    b"Content-Type: multipart/form-data; boundary=" + b"b" * 300, b"Content-Type: text/plain",
    b"Content-Type: multipart/form-data; boundary=\xff", b"Content-Encoding: gzip", b"X-Request-ID: \xff\xfe",
    b"X-Request-ID: " + b"a" * 1000, b"X-Api-Key: " + b"k" * 5000, b"Range: bytes=0-", b"Cookie: " + b"c=" * 2000,
)  # fmt: skip
_FIRST: Sequence[bytes] = (
    b"POST /embed HTTP/1.0", b"POST /embed HTTP/2.0", b"POST /embed HTTP/9", b"POST /embed", b"post /embed HTTP/1.1",
    b"GET /embed HTTP/1.1", b"TRACE / HTTP/1.1", b"CONNECT x:1 HTTP/1.1", b"OPTIONS * HTTP/1.1", b"PRI * HTTP/2.0",
    b"POST http://elsewhere/embed HTTP/1.1", b"POST //embed HTTP/1.1", b"POST /embed%00 HTTP/1.1",
    b"POST /../embed HTTP/1.1", b"POST /embed?" + b"q" * 3000 + b" HTTP/1.1", b"POST /\xff HTTP/1.1",
    b"POST  /embed  HTTP/1.1", b"POST\t/embed\tHTTP/1.1", b"", b"\x16\x03\x01\x02\x00\x01", b"HEAD /livez HTTP/1.1",
)  # fmt: skip
_PARTS: Sequence[bytes] = (
    b'Content-Disposition: form-data; name="image"', b"Content-Disposition: form-data", b"Content-Disposition:",
    b'Content-Disposition: form-data; name=image; filename="', b"Content-Disposition: attachment; filename=x",
    b'Content-Disposition: form-data; name="\xff"; filename="\xff"', b"No colon", b": no name", b"Header: \x00",
    b"Content-Disposition: form-data; name*=utf-8''image; filename*=utf-8''x", b"Folded: a\r\n b",
    b"A" * 5000 + b": b", b"A: " + b"b" * 9000, b"Content-Transfer-Encoding: base64",
    b"Content-Type: multipart/mixed; boundary=b",
)  # fmt: skip


def malformed(seed: int, number: int) -> bytes:
    """One request to embed a sound picture, damaged in one to three places."""
    rng = np.random.default_rng([seed, number, 2])
    data = upload("/embed", image=base(seed, int(rng.integers(8))))
    for _ in range(int(rng.integers(1, 4))):
        data = _SPOILS[int(rng.integers(len(_SPOILS)))](data, rng)
    return data


def _any(choices: Sequence[bytes], rng: Generator) -> bytes:
    return choices[int(rng.integers(len(choices)))]


def _head_line(data: bytes, rng: Generator) -> bytes:
    """A line more, or another in the place of one."""
    head, separator, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    place = int(rng.integers(1, len(lines) + 1))
    lines[place : place + int(rng.integers(2))] = [_any(_LINES, rng)]
    return b"\r\n".join(lines) + separator + body


def _first_line(data: bytes, rng: Generator) -> bytes:
    return _any(_FIRST, rng) + b"\r\n" + data.partition(b"\r\n")[2]


def _line_ends(data: bytes, rng: Generator) -> bytes:
    """Of the head, or of everything."""
    ends = (b"\n", b"\r", b"\r\r\n", b"\n\r\n")
    return data.replace(b"\r\n", _any(ends, rng), int(rng.integers(-1, 8)))


def _length(data: bytes, rng: Generator) -> bytes:
    """Announced a little wrong: too short leaves the rest to be taken for another request, too long never ends."""
    head, separator, rest = data.partition(b"Content-Length: ")
    digits, end, body = rest.partition(b"\r\n")
    announced = max(0, int(digits or b"0") + int(rng.integers(-300, 300))) if digits.isdigit() else 0
    return head + separator + str(announced).encode() + end + body


def _chunked(data: bytes, rng: Generator) -> bytes:
    """The body in chunks, some of whose sizes lie."""
    head, separator, body = data.partition(b"\r\n\r\n")
    sizes = (b"%x" % len(body), b"0", b"-1", b"ffffffffffffffffff", b"5;ext=1", b"", b"zz", b"%X\r" % len(body))
    head = head.replace(b"Content-Length", _any((b"X-Length", b"Content-Length"), rng))
    return head + b"\r\nTransfer-Encoding: chunked" + separator + _any(sizes, rng) + b"\r\n" + body + b"\r\n0\r\n\r\n"


def _shredded(data: bytes, rng: Generator) -> bytes:
    """The body in chunks of a few bytes, with extensions and a trailer; sound, but for how little each one brings."""
    head, found, body = data.partition(b"\r\n\r\n")
    size, note = int(rng.integers(1, 300)), _any((b"", b";a", b";a=" + b"b" * 50), rng)
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), note, piece) for piece in pieces)
    head = head.replace(b"Content-Length", b"X-Length")
    return head + b"\r\nTransfer-Encoding: chunked" + found + chunks + b"0\r\nTrailer: x\r\n\r\n"


def _part_header(data: bytes, rng: Generator) -> bytes:
    start, separator, rest = data.partition(b"--b\r\n")
    header, end, content = rest.partition(b"\r\n\r\n")
    lines = [header, _any(_PARTS, rng)] if rng.random() < 0.5 else [_any(_PARTS, rng)]
    return start + separator + b"\r\n".join(lines) + end + content


def _boundary(data: bytes, rng: Generator) -> bytes:
    others = (b"", b"--", b"--b", b"--b--", b"--c\r\n", b"--b--\r\n--b\r\n", b"--b\r\n" * 50, b"--b \r\n", b"-b\r\n")
    return data.replace(_any((b"--b\r\n", b"--b--\r\n"), rng), _any(others, rng))


def _anything(data: bytes, rng: Generator) -> bytes:
    """What is done to pictures, done to the request; most of it to its first kilobyte."""
    damage = DAMAGES[int(rng.integers(len(DAMAGES)))]
    return damage(data[:1000], rng) + data[1000:] if rng.random() < 0.7 else damage(data, rng)


_SPOILS: Sequence[Callable[[bytes, Generator], bytes]] = (
    _head_line, _first_line, _line_ends, _length, _chunked, _shredded, _part_header, _boundary, _anything,
)  # fmt: skip
