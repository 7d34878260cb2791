"""Measures what one face costs in this process, stage by stage, from a file's bytes to its embedding, on each engine.

Pictures are brought to one size as JPEGs first, so that figures can be compared; faces are drawn from the folder.
"""

import argparse
import io
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import terminal
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from model import bundle
from model.data.people import PeopleFolder
from model.embedding.embedder import Embedder
from model.engines import EngineName
from model.faces.face import NoFaceFound, face_in
from model.images import decode, working_copy
from model.reports.markdown import table

STAGES = ("decode", "find, align and judge the face", "embed", "all")


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", default="default", help="a shipped bundle's name or a folder")
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder of pictures a person")
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--side", type=int, default=500, help="side of the square pictures, in pixels")
    parser.add_argument("--threads", type=terminal.positive, default=1, help="cores to compute on")


def run(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    loaded = bundle.load(bundle.find(options.bundle))
    names: list[EngineName] = ["torch", "openvino"] if find_spec("openvino") else ["torch"]
    embedders = [Embedder(loaded, threads=options.threads, engine_name=name) for name in names]
    files = [jpeg(path, options.side) for path in spread(options.data, options.pictures)]
    for data in files[:5]:
        _on_each(embedders, data)
    costs = [found for data in terminal.progress("picture")(files) if (found := _on_each(embedders, data)) is not None]
    print(summary(names, np.array(costs) * 1000))
    print(
        f"Medians of {len(costs)} pictures with a face, {options.side} x {options.side} JPEG, "
        f"{options.threads} threads, engines in turn"
    )


def summary(names: list[EngineName], ms: NDArray[np.float64]) -> str:
    """`ms`: (pictures, engines, stages without "all", 2), wall and processor time. Ratios are medians of one picture's.

    The last column: how many times as long the first engine takes as the last, by processor time.
    """
    whole = np.concatenate([ms, ms.sum(axis=2, keepdims=True)], axis=2)
    ratios = np.median(whole[:, 0, :, 1] / whole[:, -1, :, 1], axis=0)
    middle = np.median(whole, axis=0)
    rows = [
        [stage, *(f"{value:.1f}" for engine in middle for value in engine[i]), f"{ratios[i]:.2f}"]
        for i, stage in enumerate(STAGES)
    ]
    return table(["ms", *(f"{name}, {clock}" for name in names for clock in ("wall", "processor")), "times"], rows)


def spread(folder: Path, count: int) -> list[Path]:
    """About `count` pictures, spread over the folder of people. Raises DataError where there is none."""
    paths = sorted(path for files in PeopleFolder(folder).files.values() for path in files)
    return paths[:: max(1, len(paths) // count)][:count]


def jpeg(path: Path, side: int) -> bytes:
    """The middle of the picture as a JPEG of (side, side) pixels."""
    buffer = io.BytesIO()
    ImageOps.fit(Image.fromarray(decode(path.read_bytes())), (side, side)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _on_each(embedders: list[Embedder], data: bytes) -> list[NDArray[np.float64]] | None:
    """For each engine, seconds of each stage, (stages, 2): by the wall and by the processor; None: there is no face.

    They take turns, there and back, so that none always comes first; each keeps the shorter of its two times.
    """
    try:
        there = [_stages(embedder, data) for embedder in embedders]
        back = [_stages(embedder, data) for embedder in reversed(embedders)]
        return [np.minimum(*both) for both in zip(there, reversed(back), strict=True)]
    except NoFaceFound:
        return None


def _stages(embedder: Embedder, data: bytes) -> NDArray[np.float64]:
    """Raises NoFaceFound."""
    times = [_clocks()]
    picture = working_copy(data)
    times.append(_clocks())
    face = face_in(picture, embedder.faces)
    times.append(_clocks())
    embedder.embed([face.crop])
    times.append(_clocks())
    return np.diff(times, axis=0)


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()
