"""Counts FMR and FNMR at a bundle's thresholds over all pairs of very many pictures, block by block.

It keeps no pair in memory. `evaluate.py` reports more, but keeps every pair: some ten thousand pictures at most.
"""

import argparse
from pathlib import Path

import numpy as np
import terminal

from model import bundle
from model.data.dataset import load
from model.data.people import PeopleFolder
from model.decision import Policy
from model.embedding.embedder import Embedder
from model.error_rates.all_pairs import PairCounts, count
from model.evaluation.scoring import unseen_by
from model.reports.markdown import table


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bundle", required=True, help="a shipped bundle's name or a folder")
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder of pictures a person")
    options = parser.parse_args()
    embedder = Embedder(bundle.load(bundle.find(options.bundle)))
    points = sorted(Policy(embedder.manifest).operating_points.values(), key=lambda point: point.threshold)
    folder = PeopleFolder(options.data)
    names = unseen_by([embedder.manifest], folder)
    dataset = load(folder, embedder.faces, only=names, progress=terminal.progress("picture"))
    terminal.show_skipped(dataset)
    thresholds = np.array([point.threshold for point in points])
    counts = count(embedder.embed(dataset.crops), dataset.labels, thresholds, terminal.progress("block"))
    print(f"{counts.impostor_pairs} impostor and {counts.genuine_pairs} genuine pairs")
    rows = [
        [f"{point.fmr:g}", f"{point.threshold:.6f}", _fmr(counts, index), _fnmr(counts, index)]
        for index, point in enumerate(points)
    ]
    print(table(["level (FMR)", "threshold", "FMR (95 %)", "FNMR (95 %)"], rows))


def _fmr(counts: PairCounts, index: int) -> str:
    low, high = counts.ci95(0, index)
    return f"{counts.accepted_share(0)[index]:.4g} ({low:.3g} to {high:.3g})"


def _fnmr(counts: PairCounts, index: int) -> str:
    low, high = counts.ci95(1, index)
    return f"{1 - counts.accepted_share(1)[index]:.4g} ({1 - high:.3g} to {1 - low:.3g})"


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
