import ast
import struct
import subprocess
import sys
import zlib

import makers
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin
from service.drawn_faces import portrait

from model import bundle
from model.embedding.embedder import Embedder, distances
from model.faces.face import read_face
from model.images import (
    AnimatedImage,
    CorruptImage,
    ImageLimits,
    ImageTooSmall,
    InvalidImage,
    TooExpensive,
    TooManyPixels,
    UnsupportedFormat,
    decode,
    working_copy,
)

COLOUR = np.stack([makers.face(1), makers.face(2), makers.face(3)], axis=-1)
LOOP = b"Exif\0\0II*\0\x08\0\0\0" + b"\1\0" + struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<I", 8)
"""EXIF whose only directory is said to be within itself, and to follow itself."""


@pytest.mark.parametrize("kind", ["PNG", "PPM"])
def test_lossless_formats_come_back_exactly(kind: str) -> None:
    np.testing.assert_array_equal(decode(makers.encoded(COLOUR, kind)), COLOUR)


def test_webp_lossless_comes_back_exactly() -> None:
    np.testing.assert_array_equal(decode(makers.encoded(COLOUR, "WEBP", lossless=True)), COLOUR)


def test_jpeg_comes_back_nearly() -> None:
    assert np.abs(decode(makers.encoded(COLOUR, "JPEG", quality=95)).astype(int) - COLOUR).mean() < 3


def test_grey_becomes_three_equal_channels() -> None:
    rgb = decode(makers.encoded(makers.face(1), "PPM"))
    assert rgb.shape == (112, 92, 3)
    assert rgb.dtype == np.uint8
    np.testing.assert_array_equal(rgb, np.repeat(makers.face(1)[..., np.newaxis], 3, axis=-1))


@pytest.mark.parametrize("kind", ["PNG", "PPM"])
def test_16_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    deep = makers.face(1).astype(np.uint16) * 256 + 37
    assert abs(decode(makers.encoded(deep, kind)).mean() - (deep >> 8).mean()) < 1 / 255


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_is_laid_over_mid_grey(mode: str) -> None:
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0)).convert(mode)
    options = {"transparency": clear.getpixel((0, 0))} if mode == "P" else {}
    assert (decode(makers.encoded(clear, "PNG", **options)) == 128).all()


def test_alpha_of_a_tall_picture_is_laid_over_grey_row_by_row(rng: np.random.Generator) -> None:
    layer = Image.fromarray(rng.integers(0, 256, (700, 40, 4), dtype=np.uint8))
    grey = Image.new("RGBA", layer.size, (128, 128, 128, 255))
    whole = np.asarray(Image.alpha_composite(grey, layer).convert("RGB"))
    np.testing.assert_array_equal(decode(makers.encoded(layer, "PNG")), whole)


def test_a_picture_with_alpha_is_in_memory_at_most_twice() -> None:
    program = r"""
import io, re
from pathlib import Path
from PIL import Image
from model.images import working_copy
file = io.BytesIO()
Image.new("RGBA", (4000, 4000), (9, 9, 9, 99)).save(file, "PNG")
Path("/proc/self/clear_refs").write_text("5")
most = lambda: int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before = most()
working_copy(file.getvalue())
print(most() - before)
"""
    grown = float(subprocess.run((sys.executable, "-c", program), check=True, capture_output=True, text=True).stdout)
    assert grown < 2.5 * 4000 * 4000 * 4 / 2**20


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "JPEG"), ("P", "PNG"), ("1", "PNG"), ("L", "JPEG")])
def test_other_modes_are_converted(mode: str, kind: str) -> None:
    white = Image.new("RGB", (40, 40), "white").convert(mode)
    assert (decode(makers.encoded(white, kind)) >= 254).all()


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_picture_that_is_square_once_reduced_has_the_sides_that_it_had(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    copy = working_copy(makers.encoded(Image.new("RGB", (2004, 2003)), "JPEG", exif=exif))
    assert copy.pixels.shape == (1002, 1002, 3)
    assert copy.size == ((2003, 2004) if orientation in (6, 8) else (2004, 2003))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_made_upright(orientation: int) -> None:
    np.testing.assert_array_equal(decode(makers.turned(COLOUR, orientation)), COLOUR)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0junk", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0II*\0" + b"\xff" * 60, LOOP]
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_is_ignored(exif: bytes, kind: str) -> None:
    assert decode(makers.encoded(COLOUR, kind, exif=exif)).shape == COLOUR.shape


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "ICO", "AVIF", "EPS"])
def test_formats_that_nobody_allowed_are_refused(kind: str) -> None:
    with pytest.raises(UnsupportedFormat):
        decode(makers.encoded(Image.new("RGB", (64, 64)), kind))


@pytest.mark.parametrize(
    "data", [b"", b"P5", b"<svg/>", b"8BPS\0\1", b"PK\x03\x04", b"P2\n2 2\n255\n1 2 3 4", b"Pf\n2 2\n-1\n"]
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedFormat):
        decode(data)


def test_no_other_plug_in_is_ever_imported() -> None:
    files = [makers.encoded(makers.face(1), kind) for kind in ("PNG", "JPEG", "WEBP", "PPM")]
    code = (
        "import sys; from model.images import decode\n"
        f"for data in {files!r}: decode(data)\n"
        "print([n for n in sys.modules if n.startswith('PIL.') and n.endswith('ImagePlugin')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[1].removesuffix("ImagePlugin") for name in ast.literal_eval(run.stdout)}
    assert loaded == {"Jpeg", "Png", "WebP"}


def _bare_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def _bare_jpeg(width: int, height: int) -> bytes:
    frame = b"\xff\xc0\0\x11\x08" + struct.pack(">HH", height, width) + b"\x03\1\x22\0\2\x11\1\3\x11\1"
    return b"\xff\xd8" + frame + b"\xff\xda\0\x0c\3\1\0\2\x11\3\x11\0\x3f\0\xff\xd9"


@pytest.mark.parametrize(
    "data",
    [
        _bare_png(9000, 9900),
        _bare_png(30000, 30000),
        _bare_png(5001, 5000),
        _bare_jpeg(65535, 65535),
        _bare_jpeg(5001, 5000),
        makers.bare_webp(16383, 16383),
        makers.bare_webp(5001, 5000),
        b"P6\n5001 5000\n255\n",
    ],
)
def test_too_many_pixels_are_refused_from_the_header_alone(data: bytes) -> None:
    with pytest.raises(TooManyPixels):
        decode(data)


def test_of_a_jpeg_with_others_behind_it_the_first_is_taken() -> None:
    frames = [Image.fromarray(pixels) for pixels in (COLOUR, 255 - COLOUR)]
    many = makers.encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode(many), decode(makers.encoded(frames[0], "JPEG")))


def test_limits_are_those_given() -> None:
    data = makers.encoded(makers.face(1))
    assert decode(data, ImageLimits(max_pixels=92 * 112, min_side=92)).shape == (112, 92, 3)
    with pytest.raises(TooManyPixels):
        decode(data, ImageLimits(max_pixels=92 * 112 - 1))
    with pytest.raises(ImageTooSmall):
        decode(data, ImageLimits(min_side=93))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animations_are_refused(kind: str) -> None:
    frames = [Image.fromarray(makers.face(i)) for i in range(2)]
    with pytest.raises(AnimatedImage):
        decode(makers.encoded(frames[0], kind, save_all=True, append_images=frames[1:]))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "PPM"])
def test_a_cut_off_file_is_corrupt(kind: str) -> None:
    data = makers.encoded(COLOUR, kind)
    with pytest.raises(CorruptImage):
        decode(data[: len(data) // 2])


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(st.sampled_from(["PNG", "JPEG", "WEBP", "PPM"]), st.data())
def test_damage_gives_a_picture_or_a_reason_never_anything_else(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(makers.encoded(Image.fromarray(COLOUR[:40, :40]), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        picture = decode(bytes(damaged), ImageLimits(max_pixels=100_000))
    except InvalidImage:
        return
    assert picture.dtype == np.uint8
    assert picture.ndim == 3


def test_a_palette_picture_without_a_palette_is_corrupt() -> None:
    data = makers.encoded(Image.fromarray(makers.face(1)).convert("P"))
    start = data.index(b"PLTE") - 4
    (length,) = struct.unpack_from(">I", data, start)
    with pytest.raises(CorruptImage):
        decode(data[:start] + data[start + 12 + length :])


@pytest.mark.parametrize("error", [OSError, ValueError, SyntaxError, struct.error, zlib.error, EOFError])
def test_what_a_decoder_raises_is_a_reason_never_a_fault(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def load(_: object) -> None:
        raise error("of the library")

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", load)
    with pytest.raises(CorruptImage):
        decode(makers.encoded(makers.face(1), "JPEG"))


def test_a_decoder_that_has_not_the_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", load)
    with pytest.raises(TooExpensive):
        decode(makers.encoded(makers.face(1), "JPEG"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(("side", "reduced"), [(1999, 1999), (2000, 1000), (4000, 1000)])
def test_only_large_pictures_are_reduced(kind: str, side: int, reduced: int) -> None:
    data = makers.encoded(Image.new("RGB", (side, side * 3 // 4), (90, 120, 150)), kind)
    copy = working_copy(data)
    assert max(copy.pixels.shape) == reduced
    assert copy.size == (side, side * 3 // 4)
    assert np.abs(copy.pixels.astype(int) - (90, 120, 150)).max() <= 3


def test_a_large_picture_on_its_side_is_known_by_its_upright_size() -> None:
    copy = working_copy(makers.turned(np.zeros((1000, 2000, 3), np.uint8), 6))
    assert copy.size == (2000, 1000)
    assert copy.pixels.shape == (500, 1000, 3)


@pytest.mark.slow
@pytest.mark.parametrize("side", [2000, 4096])
def test_reducing_moves_no_embedding_that_counts(side: int) -> None:
    embedder = Embedder(bundle.load(bundle.SHIPPED / "default"), threads=1)
    data = makers.encoded(portrait(2, size=side), "JPEG", quality=92)
    whole = decode(data)
    small, large = read_face(data, embedder.faces), embedder.faces.find(whole)
    first, second = embedder.embed([small.crop, large.crop])
    assert float(distances(first, second)) < 0.05  # strangers are told apart at 0.27 to 0.45
    assert np.abs(np.array([vars(small.box)[k] - vars(large.box)[k] for k in ("x", "y", "width")])).max() < side / 60
    assert small.quality.size_px == pytest.approx(large.quality.size_px, rel=0.03)
