"""How a request's body is framed (RFC 9112, 6): its length, or its chunks; knows no connection."""

from collections.abc import Sequence

import httptools

from app.bounded_request import HeadError, length_of

_BODY_BYTES_A_FRAMING_BYTE = 8
_SLICE_BYTES = 2**11  # of chunks, between two looks at how little they bring
_CHUNKED_HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
_FRAMING = (b"content-length", b"transfer-encoding", b"host")
Header = tuple[bytes, bytes]


def body_length(headers: Sequence[Header], version: str) -> int | None:
    """Bytes of the body that comes after this head; None: chunks. Raises HeadError where that is not beyond doubt.

    Only what nobody reads in another way is taken (RFC 9112, 6.1 to 6.3): else a proxy before this service may see
    other requests than it does.
    """
    values = {wanted: [value for name, value in headers if name == wanted] for wanted in _FRAMING}
    lengths, encodings, hosts = (values[name] for name in _FRAMING)
    if version not in ("1.0", "1.1") or len(hosts) > 1 or (version == "1.1" and not hosts):
        raise HeadError
    if encodings:
        if lengths or version == "1.0" or len(encodings) > 1 or encodings[0].lower() != b"chunked":
            raise HeadError
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or not lengths[0].isdigit():
        raise HeadError
    return length_of(lengths[0])


class ChunkedBody:
    """Takes a body out of its chunks. `allowance`: bytes of framing that may come with little or no body in them."""

    def __init__(self, allowance: int) -> None:
        self._framing_left = float(allowance)
        self._parts: list[bytes] = []
        self._parser = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._parser.feed_data(_CHUNKED_HEAD)
        self.whole = False

    def feed(self, data: bytes) -> bytes:
        """What there is of the body in `data`. Raises HeadError where there is no chunk, or many of next to nothing.

        Sizes, extensions and trailers may be as long as an eighth of the body, and the allowance more.
        """
        self._parts = []
        for start in range(0, len(data), _SLICE_BYTES):
            self._feed(data[start : start + _SLICE_BYTES])
        return b"".join(self._parts)

    def _feed(self, data: bytes) -> None:
        self._framing_left -= len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise HeadError from error
        if self._framing_left < 0 and not self.whole:
            raise HeadError

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)
        self._framing_left += len(body) * (1 + 1 / _BODY_BYTES_A_FRAMING_BYTE)

    def on_message_complete(self) -> None:
        self.whole = True
