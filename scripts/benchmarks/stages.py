"""Measures what one face costs in this process, stage by stage, from a file's bytes to its embedding.

Pictures are brought to one size as JPEGs first, so that figures can be compared; faces are drawn from the folder.
"""

import argparse
import io
import time
from pathlib import Path

import numpy as np
import terminal
import torch
from PIL import Image, ImageOps

from model import bundle
from model.embedding.embedder import Embedder
from model.faces.face import NoFaceFound, face_in
from model.images import decode, working_copy

STAGES = ("decode", "find, align and judge the face", "embed")


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", default="default", help="a shipped bundle's name or a folder")
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder of pictures a person")
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--side", type=int, default=500, help="side of the square pictures, in pixels")


def run(options: argparse.Namespace) -> None:
    embedder = Embedder(bundle.load(bundle.find(options.bundle)))
    files = [jpeg(path, options.side) for path in spread(options.data, options.pictures)]
    for data in files[:5]:
        _stages(embedder, data)
    seconds = np.array([stages for data in terminal.progress("picture")(files) if (stages := _stages(embedder, data))])
    middle = np.median(seconds, axis=0) * 1000
    for stage, taken in zip(STAGES, middle, strict=True):
        print(f"{stage}: {taken:.1f} ms, {taken / middle[-1]:.2f} of the embedding")
    whole = np.percentile(seconds.sum(axis=1) * 1000, [50, 95])
    print(
        f"one face, decode to embedding, {options.side} x {options.side} JPEG: median {whole[0]:.1f} ms, "
        f"95th percentile {whole[1]:.1f} ms, of {len(seconds)} pictures on {torch.get_num_threads()} threads"
    )


def spread(folder: Path, count: int) -> list[Path]:
    """About `count` pictures, spread over the folder."""
    paths = sorted(path for path in folder.glob("*/*") if path.is_file())
    return paths[:: max(1, len(paths) // count)][:count]


def jpeg(path: Path, side: int) -> bytes:
    """The middle of the picture as a JPEG of (side, side) pixels."""
    buffer = io.BytesIO()
    ImageOps.fit(Image.fromarray(decode(path.read_bytes())), (side, side)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _stages(embedder: Embedder, data: bytes) -> list[float] | None:
    """Seconds of each stage, or None where there is no face."""
    times = [time.perf_counter()]
    picture = working_copy(data)
    times.append(time.perf_counter())
    try:
        face = face_in(picture, embedder.faces)
    except NoFaceFound:
        return None
    times.append(time.perf_counter())
    embedder.embed([face.crop])
    times.append(time.perf_counter())
    return np.diff(times).tolist()
