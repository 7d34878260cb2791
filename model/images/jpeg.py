"""The segments of a JPEG file that make its pixels; decodes nothing.

Source: ITU-T T.81, annex B.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from PIL.JpegImagePlugin import JpegImageFile

from model.images.essentials import Essentials
from model.images.refusals import CorruptImage, ImageLimits, TooExpensive, UnsupportedFormat

_MAX_SEGMENTS = 2_000
_MARKER = re.compile(rb"\xff([\x01-\xfe])", re.DOTALL)
_AFTER_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]", re.DOTALL)  # 0xff before 0 or a restart marker is coded data
_SOS, _EOI = 0xDA, 0xD9
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_DECODED_FRAMES = {0xC0, 0xC1, 0xC2}  # Huffman-coded; neither lossless nor hierarchical
_TABLES = {0xC4, 0xDB, 0xDD}
_APPLICATIONS = {0xE0: b"JFIF\0", 0xE1: b"Exif\0\0", 0xEE: b"Adobe"}  # the colour space and which way is up

_SECONDS_PER_SAMPLE = 1e-9
_SECONDS_PER_BYTE = 1e-8
_SECONDS_PER_BYTE_OF_SCANS = 2.5e-8  # where there is more than one


@dataclass(frozen=True)
class _Segment:
    marker: int
    content: bytes
    """Between the length and the coded data."""
    start: int
    end: int
    """Behind the coded data, where it is a scan."""


def essentials(data: bytes, limits: ImageLimits) -> Essentials:
    """The first picture in the file, whatever follows it.

    Raises TooManyPixels, ImageTooSmall, TooExpensive, CorruptImage, or UnsupportedFormat for frames that are
    arithmetic-coded, lossless, hierarchical or of more than 8 bits, which browsers do not read either.
    """
    kept, frame, scans, samples = [b"\xff\xd8"], None, 0, 0
    applications = dict(_APPLICATIONS)
    for segment in _segments(data):
        if segment.marker in _FRAMES:
            if frame is not None:
                raise CorruptImage
            frame = _Frame.read(segment)
            limits.check(frame.size)
        elif segment.marker == _SOS:
            scans += 1
            samples += frame.samples(segment.content) if frame else 0
            if scans > limits.max_scans or samples > limits.max_samples:
                raise TooExpensive
        elif segment.marker in applications and segment.content.startswith(applications[segment.marker]):
            del applications[segment.marker]  # one of each
        elif segment.marker not in _TABLES | {_EOI}:
            continue
        kept.append(data[segment.start : segment.end])
    if frame is None:
        raise CorruptImage
    file = b"".join(kept)
    seconds = samples * _SECONDS_PER_SAMPLE
    seconds += len(file) * (_SECONDS_PER_BYTE if scans < 2 else _SECONDS_PER_BYTE_OF_SCANS)
    return Essentials(frame.size, seconds, partial(JpegImageFile, io.BytesIO(file)))


def _segments(data: bytes) -> Iterator[_Segment]:
    """Up to the end of the picture. Fill bytes and junk between segments belong to none of them."""
    place = 2
    for _ in range(_MAX_SEGMENTS):
        if not (found := _MARKER.search(data, place)):
            return
        marker, start = found[1][0], found.start()
        if marker == _EOI:
            yield _Segment(marker, b"", start, start + 2)
            return
        if marker in _WITHOUT_LENGTH:
            place = start + 2
            continue
        place = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        content = data[start + 4 : place]
        if marker == _SOS:
            coded_end = _AFTER_SCAN.search(data, place)
            place = coded_end.start() if coded_end else len(data)
        yield _Segment(marker, content, start, place)
    raise TooExpensive


@dataclass(frozen=True)
class _Frame:
    size: tuple[int, int]
    sampling: dict[int, int]
    """Of each component, by its identifier: samples in a minimum coded unit of 64 pixels."""
    units: int

    @classmethod
    def read(cls, segment: _Segment) -> "_Frame":
        content = segment.content
        if len(content) < 9 or len(content) < 6 + 3 * content[5]:
            raise CorruptImage
        if segment.marker not in _DECODED_FRAMES or content[0] != 8:
            raise UnsupportedFormat
        height, width = (int.from_bytes(content[place : place + 2], "big") for place in (1, 3))
        factors = [(content[at], *divmod(content[at + 1], 16)) for at in range(6, 6 + 3 * content[5], 3)]
        across, down = (max((factor[axis] for factor in factors), default=0) for axis in (1, 2))
        if not (across and down):
            raise CorruptImage
        sampling: dict[int, int] = {}
        for name, h, v in factors:
            sampling[name] = max(64 * h * v, sampling.get(name, 0))
        return cls((width, height), sampling, -(-width // (8 * across)) * -(-height // (8 * down)))

    def samples(self, scan: bytes) -> int:
        """How many samples a scan visits; `scan` is the content of its header."""
        components = scan[1 : 1 + 2 * scan[0] : 2] if scan else b""
        return self.units * sum(self.sampling.get(component, 0) for component in components)
