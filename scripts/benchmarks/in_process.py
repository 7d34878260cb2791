"""Measures what the pipeline costs in this process, without HTTP: the limit for any service around it."""

import io
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from typing import TypeAlias, TypeVar

import numpy as np
from PIL import Image, ImageOps

from model.embedding.embedder import Embedder
from model.faces.face import Crop, read_face
from model.images import decode, working_copy

Given = TypeVar("Given")
Pair: TypeAlias = tuple[bytes, bytes]


def _crop(embedder: Embedder, picture: bytes) -> Crop:
    return read_face(picture, embedder.faces).crop


def pairs_a_second(embedder: Embedder, pairs: Sequence[Pair], seconds: float, cores: int) -> dict[str, float]:
    """Decode, find, embed: by the three ways in which the cores can share the work."""
    rates = {"one pair after another, every step on all cores": _rate(embedder, pairs, seconds, 1)}
    with ThreadPoolExecutor(cores) as pool:
        for together in (1, 4):
            running = [pool.submit(_rate, embedder, [*pairs[i:], *pairs[:i]], seconds, together) for i in range(cores)]
            name = f"a thread a core, embedding {2 * together} faces at a time"
            rates[name] = sum(future.result() for future in running)
    return rates


def _rate(embedder: Embedder, pairs: Sequence[Pair], seconds: float, together: int) -> float:
    done, source, started = 0, cycle(pairs), time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        embedder.embed([_crop(embedder, picture) for pair in islice(source, together) for picture in pair])
        done += together
    return done / elapsed


def seconds_a_pair(embedder: Embedder, pairs: Sequence[Pair], cores: int) -> float:
    """The median for one pair at a time as the service does it: faces side by side, then both embedded together."""
    with ThreadPoolExecutor(cores) as pool:
        return _median(lambda pair: embedder.embed(list(pool.map(_crop, [embedder] * 2, pair))), pairs)


def large_jpeg_seconds(picture: bytes, rounds: int = 9) -> tuple[float, float]:
    """Medians for a JPEG of 4000 x 3000: decoded as the service does, and in full by Pillow alone."""
    buffer = io.BytesIO()
    ImageOps.fit(Image.fromarray(decode(picture)), (4000, 3000)).save(buffer, "JPEG", quality=90)
    large = [buffer.getvalue()] * rounds
    return _median(working_copy, large), _median(_decode_in_full, large)


def _decode_in_full(data: bytes) -> None:
    np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def _median(work: Callable[[Given], object], items: Sequence[Given]) -> float:
    taken = []
    for item in items:
        started = time.perf_counter()
        work(item)
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))
