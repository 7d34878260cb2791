"""Measures how fast all pairs of very many embeddings are counted, against their bare matrix product."""

import argparse
import resource
import time

import numpy as np
import terminal
import torch

from model import bundle
from model.decision import Policy
from model.error_rates.all_pairs import count

_CLOSE = 0.93
"""Cosine to the common direction: strangers are then about as far apart as with the bundle `default`."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--embeddings", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=128)


def run(options: argparse.Namespace) -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(0, np.sqrt((1 - _CLOSE**2) / options.size), (options.embeddings, options.size))
    points[:, 0] += _CLOSE
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    labels = np.arange(options.embeddings) // 3
    operating = Policy(bundle.load(bundle.SHIPPED / "default").manifest).operating_points.values()
    thresholds = np.sort([point.threshold for point in operating])
    started = time.perf_counter()
    counts = count(points, labels, thresholds, terminal.progress("block"))
    counted = time.perf_counter()
    _multiply(torch.from_numpy(points))
    multiplied = time.perf_counter() - counted
    seconds, pairs = counted - started, counts.impostor_pairs + counts.genuine_pairs
    rates = ", ".join(f"{share:.2g}" for share in counts.accepted_share(0))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{pairs:.3g} pairs at {len(thresholds)} thresholds: {seconds:.0f} s, {pairs / seconds:.3g} pairs a second, "
        f"{seconds / multiplied:.2f} times the matrix product of the same pairs ({multiplied:.0f} s), at most "
        f"{memory:.0f} MiB, on {torch.get_num_threads()} threads; FMR {rates}"
    )


def _multiply(points: torch.Tensor, block: int = 4096) -> None:
    for start in range(0, len(points), block):
        for other in range(start, len(points), block):
            torch.mm(points[start : start + block], points[other : other + block].T)
