"""The size that a WebP's header tells, before any decoder sees it (RFC 9649); knows no limit.

Pillow's plug-in takes memory for the whole picture when it opens one; those of other formats read the header alone.
"""


def size_of(data: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels, or None where the first chunk is no picture's."""
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + _number(data[24:27]), 1 + _number(data[27:30])
    if kind == b"VP8L":
        bits = _number(data[21:25])
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        return _number(data[26:28]) & 0x3FFF, _number(data[28:30]) & 0x3FFF
    return None


def _number(digits: bytes) -> int:
    return int.from_bytes(digits, "little")
