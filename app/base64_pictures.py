"""A picture in base64, as it stands in JSON, to its bytes. Works piece by piece, in the memory where the text lies."""

import msgspec

from app.in_pieces import Pieces

_PIECE = 2**18
"""Bytes; whole groups of four. The slowest to read, all escapes, takes 2 ms."""
_LONGEST_ESCAPE = len(r"\u002B")


class NotBase64Error(Exception):
    """The text is not base64, of the standard alphabet and padded."""


def decoded(text: memoryview) -> Pieces[bytes]:
    """The picture. `text`: what lies between the quotes; it is written over. Raises NotBase64Error."""
    try:
        plain = yield from _unescape(text)
        size = yield from _decode(text[:plain])
    except msgspec.DecodeError:
        raise NotBase64Error from None
    return bytes(text[:size])


def _unescape(text: memoryview) -> Pieces[int]:
    """Base64 needs no escapes, but some writers of JSON have them for `/` and `+`. Returns the length without."""
    start = end = 0
    while start < len(text):
        piece = _whole_escapes(bytes(text[start : start + _PIECE]), last=start + _PIECE >= len(text))
        start += len(piece)
        if b"\\" in piece:
            piece = msgspec.json.decode(b'"%b"' % piece, type=str).encode("utf-8", "surrogatepass")
            if b"\\" in piece:  # or the next reader would take it for an escape
                raise NotBase64Error
        text[end : end + len(piece)] = piece
        end += len(piece)
        yield
    return end


def _whole_escapes(piece: bytes, *, last: bool) -> bytes:
    """Without the escape at its end that may lack something, if it is not the last piece."""
    cut = -1 if last else piece.rfind(b"\\", 1 - _LONGEST_ESCAPE)
    return piece if cut < 0 else piece[:cut]


def _decode(text: memoryview) -> Pieces[int]:
    """Returns how many bytes there are."""
    end = 0
    for start in range(0, len(text), _PIECE):
        piece = bytes(text[start : start + _PIECE])
        if b"=" in piece and start + _PIECE < len(text):
            raise NotBase64Error
        picture = msgspec.json.decode(b'"%b"' % piece, type=bytes)
        text[end : end + len(picture)] = picture
        end += len(picture)
        yield
    return end
