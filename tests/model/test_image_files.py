"""What of a picture file is looked at: nothing but what makes its pixels, and of that no more than it may cost."""

import base64
import io
import struct
import time
import zlib
from contextlib import suppress
from typing import Any

import makers
import numpy as np
import pytest
from PIL import Image

from model.images import (
    CorruptImage,
    ImageLimits,
    InvalidImage,
    TooExpensive,
    TooManyPixels,
    UnsupportedFormat,
    decode,
    essentials,
    working_copy,
)

COLOUR = np.stack([makers.face(1), makers.face(2), makers.face(3)], axis=-1)
JPEG = makers.encoded(COLOUR, "JPEG", quality=95)
PNG = makers.encoded(COLOUR)
WEBP = makers.encoded(COLOUR, "WEBP", lossless=True)
TEN_MEGABYTES = 10 * 2**20


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def riff(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def jpeg(*segments: bytes) -> bytes:
    return JPEG[:2] + b"".join(segments) + JPEG[2:]


def png(*chunks: bytes) -> bytes:
    return PNG[:33] + b"".join(chunks) + PNG[33:]


def webp(*chunks: bytes) -> bytes:
    """A canvas that claims a profile, EXIF and XMP, these chunks, and then the picture."""
    height, width = COLOUR.shape[:2]
    canvas = bytes([0x2C, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBP" + riff(b"VP8X", canvas) + b"".join(chunks) + WEBP[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


PROFILE = np.random.default_rng(1).bytes(3 * 2**19)  # one and a half megabytes that do not pack
PACKED_PROFILE = b"name\0\0" + zlib.compress(PROFILE)
PROFILE_PARTS = [segment(0xE2, b"ICC_PROFILE\0" + bytes([i + 1, 25]) + PROFILE[64000 * i :][:64000]) for i in range(25)]
ENDLESS_EXIF = b"II*\0\x08\0\0\0" + struct.pack("<H", 65535) + struct.pack("<HHII", 0x0102, 1, 8 * 2**20, 8) * 65535
"""A directory of 65,535 entries, each of which says that eight megabytes belong to it: minutes of copying."""


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(JPEG + b"\0\0\0\x18ftypmp42" + b"\xff\xda\0\x08" * (2**20), id="motion photo"),
        pytest.param(jpeg(b"\xff" * 9 * 2**20), id="fill bytes"),
        pytest.param(jpeg(segment(0xFE, bytes(65000)) * 150), id="comments"),
        pytest.param(jpeg(segment(0xFE, b"") * 1900), id="empty comments"),
        pytest.param(jpeg(*PROFILE_PARTS), id="JPEG's profile"),
        pytest.param(jpeg(segment(0xE1, b"Exif\0\0" + ENDLESS_EXIF[:65000]) * 20), id="EXIF again and again"),
        pytest.param(png(chunk(b"iCCP", PACKED_PROFILE)), id="PNG's profile"),
        pytest.param(png(chunk(b"iCCP", PACKED_PROFILE[:1000]) * 1000), id="profiles"),
        pytest.param(png(chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(80_000_000)))), id="packed text"),
        pytest.param(png(chunk(b"iTXt", b"k\0\0\0\0\0" + b"x" * 2**21) * 4), id="text"),
        pytest.param(png(chunk(b"eXIf", ENDLESS_EXIF + bytes(2**23))), id="PNG's EXIF"),
        pytest.param(png(chunk(b"IDAT", b"") * 9000), id="empty chunks"),
        pytest.param(webp(riff(b"ICCP", PROFILE)), id="WebP's profile"),
        pytest.param(webp(riff(b"EXIF", ENDLESS_EXIF + bytes(2**23))), id="WebP's EXIF"),
        pytest.param(webp(riff(b"junk", b"") * 900, riff(b"XMP ", b"x" * 2**22)), id="WebP's chunks"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_makes_no_pixel_is_not_looked_at(data: bytes) -> None:
    started = time.process_time()
    picture = decode(data)
    assert time.process_time() - started < 1.5  # without the bounds: 3 s and far more
    np.testing.assert_array_equal(picture, decode(JPEG) if data.startswith(JPEG[:3]) else COLOUR)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(jpeg(segment(0xFE, b"") * (TEN_MEGABYTES // 4)), id="comments"),
        pytest.param(jpeg(segment(0xDD, b"\0\0") * (TEN_MEGABYTES // 6)), id="restart intervals"),
        pytest.param(JPEG[:-2] + b"\xff\xd8" * (TEN_MEGABYTES // 2), id="starts"),
        pytest.param(b"\xff\xd8" + b"\xff" * TEN_MEGABYTES, id="fill bytes"),
        pytest.param(b"\xff\xd8\xff" + b"\0\xff" * (TEN_MEGABYTES // 2), id="junk"),
        pytest.param(JPEG[:-2] + b"\xff\0" * (TEN_MEGABYTES // 2), id="coded data without end"),
        pytest.param(PNG[:-12] + chunk(b"IDAT", b"") * (TEN_MEGABYTES // 12), id="PNG's chunks"),
        pytest.param(webp(riff(b"junk", b"") * (TEN_MEGABYTES // 8)), id="WebP's chunks"),
        pytest.param(b"P5\n#" + b"x" * TEN_MEGABYTES + b"\n40 40\n255\n" + bytes(1600), id="PGM's comment"),
        pytest.param(b"P5\n" + b"#\n" * (TEN_MEGABYTES // 2) + b"40 40\n255\n" + bytes(1600), id="PGM's comments"),
        pytest.param(b"P5 " + b" " * TEN_MEGABYTES + b"40 40 255 " + bytes(1600), id="PGM's spaces"),
    ],
)
def test_a_file_of_very_many_parts_is_given_up_soon(data: bytes) -> None:
    started = time.process_time()
    with suppress(InvalidImage):
        np.testing.assert_array_equal(decode(data), decode(JPEG))
    assert time.process_time() - started < 1.5  # without the bounds: 3 s and more


def test_scans_beyond_the_end_of_the_picture_do_not_count() -> None:
    limits = ImageLimits(max_scans=1)
    np.testing.assert_array_equal(decode(JPEG + JPEG[2:] * 3, limits), decode(JPEG))
    with pytest.raises(TooExpensive):
        decode(makers.encoded(COLOUR, "JPEG", progressive=True), limits)


def test_a_jpeg_of_very_many_scans_is_refused_before_it_is_decoded() -> None:
    data = makers.encoded(np.repeat(makers.face(1)[..., np.newaxis], 3, axis=-1), "JPEG", progressive=True)
    start = data.index(b"\xff\xda")
    following = data.index(b"\xff\xda", start + 2)
    bomb = data[:start] + data[start:following] * 2000 + data[start:]
    for file in (bomb, bomb[: len(bomb) // 2]):  # no decoder would take the second: it is not asked
        with pytest.raises(TooExpensive):
            essentials(file, ImageLimits())
    assert working_copy(data).pixels.shape == (112, 92, 3)


def empty_scans(width: int, height: int, scans: int) -> bytes:
    """A progressive grey JPEG whose scans say in a few bytes that nothing follows."""
    data = makers.encoded(Image.new("L", (64, 64), 90), "JPEG", progressive=True)
    frame = data.index(b"\xff\xc2")
    head = data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 : data.index(b"\xff\xda")]
    return head + segment(0xDA, b"\1\1\0\1\x3f\0") * scans + b"\xff\xd9"


def test_scans_are_judged_by_the_pixels_that_they_visit() -> None:
    for width, height, scans in [(5000, 5000, 99), (5000, 5000, 27), (2600, 2600, 99)]:
        with pytest.raises(TooExpensive):
            essentials(empty_scans(width, height, scans), ImageLimits())
    for width, height, scans in [(5000, 5000, 26), (2500, 2500, 100), (500, 500, 100)]:
        assert essentials(empty_scans(width, height, scans), ImageLimits()).size == (width, height)


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"quality": 100, "subsampling": 0}])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_ordinary_progressive_photos_of_the_largest_size_are_let_in(mode: str, options: dict[str, Any]) -> None:
    limits = ImageLimits(max_pixels=COLOUR.shape[0] * COLOUR.shape[1])
    data = makers.encoded(Image.fromarray(COLOUR).convert(mode), "JPEG", progressive=True, **options)
    assert working_copy(data, limits).size == (92, 112)


@pytest.mark.parametrize("kind", ["JPEG", "progressive JPEG", "PNG", "WEBP", "lossless WEBP", "PPM"])
def test_the_larger_the_picture_the_longer_the_estimate(kind: str) -> None:
    small, large = (
        essentials(saved(Image.new("RGB", (side, side)), kind), ImageLimits()).seconds for side in (320, 1280)
    )
    assert 0 < 10 * small < large < 1


def test_to_lay_transparency_over_grey_counts() -> None:
    """2 kB of one bit a pixel took a decoder twice as long as was estimated, and so had all decoders."""
    picture = Image.new("P", (4350, 4350))
    plain, transparent = (
        essentials(makers.encoded(picture, "PNG", bits=1, **options), ImageLimits()).seconds
        for options in ({}, {"transparency": b"\x80"})
    )
    assert 0.1 < plain < 0.25 < transparent < 0.5


@pytest.mark.parametrize("kind", ["progressive JPEG", "WEBP"])
def test_what_is_full_of_detail_counts_for_more(kind: str, rng: np.random.Generator) -> None:
    flat, noise = (
        essentials(saved(Image.fromarray(pixels), kind, quality=100), ImageLimits()).seconds
        for pixels in (np.zeros((640, 640, 3), np.uint8), rng.integers(0, 256, (640, 640, 3), dtype=np.uint8))
    )
    assert noise > 1.6 * flat


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    options |= {"progressive": True} if "progressive" in kind else {"lossless": True} if "lossless" in kind else {}
    return makers.encoded(picture, kind.split()[-1], **options)


@pytest.mark.parametrize("kind", ["JPEG", "progressive JPEG", "PNG", "WEBP", "lossless WEBP", "PPM"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_file_cut_off_at_any_byte_gives_a_picture_or_a_reason(kind: str) -> None:
    exif = {} if kind == "PPM" else {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}
    data = saved(Image.fromarray(COLOUR[:32, :33]), kind, **exif)
    whole = decode(data)
    for length in range(len(data)):
        with suppress(CorruptImage, UnsupportedFormat):
            cut = decode(data[:length])
            assert len(data) - length < 24  # nothing but check sums and the end is missing
            np.testing.assert_array_equal(cut, whole)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_counts_in_webp_too(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.open(io.BytesIO(makers.turned(COLOUR, orientation)))
    np.testing.assert_array_equal(decode(makers.encoded(stored, "WEBP", exif=exif, lossless=True)), COLOUR)


@pytest.mark.parametrize(
    "picture",
    [
        makers.encoded(COLOUR, "WEBP"),
        makers.encoded(COLOUR, "WEBP", lossless=True),
        makers.encoded(Image.fromarray(COLOUR).convert("RGBA"), "WEBP", exif=b"Exif\0\0II*\0"),
    ],
    ids=["VP8", "VP8L", "VP8X"],
)
def test_the_size_of_a_webp_is_known_before_it_is_opened(picture: bytes) -> None:
    height, width = COLOUR.shape[:2]
    assert essentials(picture, ImageLimits()).size == (width, height)
    with pytest.raises(TooManyPixels):
        essentials(picture, ImageLimits(max_pixels=height * width - 1))


def test_a_frame_larger_than_its_canvas_is_judged_by_its_own_size() -> None:
    body = b"WEBP" + riff(b"VP8X", bytes([0, 0, 0, 0, 99, 0, 0, 99, 0, 0])) + makers.bare_webp(16383, 16383)[12:]
    with pytest.raises(TooManyPixels):
        decode(b"RIFF" + struct.pack("<I", len(body)) + body)


@pytest.mark.parametrize("kind", [b"ICCP", b"ALPH", b"VP8X", b"VP8 "])
def test_a_webp_without_a_picture_is_corrupt(kind: bytes) -> None:
    for content in (b"", bytes(9)):
        with pytest.raises(CorruptImage):
            decode(b"RIFF" + struct.pack("<I", 4 + 8 + len(content)) + b"WEBP" + riff(kind, content))


def test_an_apng_of_one_picture_is_a_picture() -> None:
    control = chunk(b"acTL", struct.pack(">II", 1, 0))
    frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 92, 112, 0, 0, 1, 1, 0, 0))
    np.testing.assert_array_equal(decode(png(control, frame)), COLOUR)


ARITHMETIC = base64.b85decode(
    "|JeWF01!$>Nk#wx0RR9200961|JwjV015{O2nPlV2nYxZ3JMDj7!VE(4GtX@77-XDA0;FrA0i<pD>pADDKse|A}~QQG&wsyK0YNbL`g$"
    "DNH;w`JO9Z53kU!x03ZPY5di<p00saM5C#9*00;pA002J#{{XwMw2DaAQ*9ggn1~mPKEOlqsQV1Z#OwM@u9uZTxsGZGCsr|CD00B||Je"
)
"""A grey slope of 32 x 40 pixels, by libjpeg-turbo's jpegtran."""


@pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF])
def test_kinds_of_jpeg_that_browsers_do_not_read_are_no_damage(marker: int) -> None:
    frame = JPEG.index(b"\xff\xc0")
    for data in (JPEG[:frame] + bytes([0xFF, marker]) + JPEG[frame + 2 :], ARITHMETIC):
        with pytest.raises(UnsupportedFormat):
            decode(data)


def test_a_jpeg_of_12_bits_is_no_damage() -> None:
    frame = JPEG.index(b"\xff\xc0")
    with pytest.raises(UnsupportedFormat):
        decode(JPEG[: frame + 4] + b"\x0c" + JPEG[frame + 5 :])


def test_two_frames_or_none_are_corrupt() -> None:
    frame = JPEG[JPEG.index(b"\xff\xc0") :][:19]
    for data in (jpeg(frame), JPEG.replace(frame, b""), JPEG.replace(frame, frame[:2] + b"\0\3\x08")):
        with pytest.raises(CorruptImage):
            decode(data)


@pytest.mark.parametrize("largest", [1, 15, 255, 256, 1023, 4095, 65535])
@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3)])
def test_samples_of_any_depth_are_scaled_not_clipped(largest: int, shape: tuple[int, ...]) -> None:
    samples = np.random.default_rng(largest).integers(0, largest + 1, shape)
    head = (b"P5" if len(shape) == 2 else b"P6") + b" # a comment\n50\t# and another\r40 %d\n" % largest
    picture = decode(head + samples.astype("u1" if largest < 256 else ">u2").tobytes() + b"what follows")
    expected = samples / largest * 255
    assert np.abs(picture - (expected[..., np.newaxis] if len(shape) == 2 else expected)).max() <= 1


def test_samples_above_the_largest_are_taken_for_it() -> None:
    assert (decode(b"P5 40 40 100\n" + b"\xff" * 1600) == 255).all()


@pytest.mark.parametrize(
    "head", [b"P5 40 40 0\n", b"P5 40 40 65536\n", b"P5 40 40\n", b"P5 40 -40 255\n", b"P5 40 40 9"]
)
def test_a_broken_header_of_a_pgm_is_corrupt(head: bytes) -> None:
    with pytest.raises(CorruptImage):
        decode(head + (bytes(3200) if head.endswith(b"\n") else b""))
