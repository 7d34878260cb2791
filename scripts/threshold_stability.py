"""Checks whether thresholds hold for other people: chooses them on half of the people and measures on the rest, often.

People that the bundle was trained on are left out. A realised FMR has an interval of its own. The table counts how
often the realised FMR lies in the promised interval, and how often the promised FMR lies in the realised interval. Both
halves vary by chance: when intervals contain the truth 95 times in 100, 83 contain what another half shows.
"""

import argparse
from pathlib import Path

import numpy as np
import terminal
from numpy.typing import NDArray

from model import bundle
from model.data.dataset import Dataset, Indices, load
from model.data.pairs import all_pairs
from model.data.people import PeopleFolder
from model.data.splits import halves
from model.embedding.embedder import Embedder
from model.error_rates.at_thresholds import Rates
from model.evaluation.calibration import calibrate
from model.evaluation.scoring import score, untrained
from model.reports.markdown import table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True, help="a shipped bundle's name or a folder")
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder of pictures a person")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    embedder = Embedder(bundle.load(bundle.find(options.bundle)))
    folder = PeopleFolder(options.data)
    names = untrained([embedder.manifest], folder)
    dataset = load(folder, embedder.faces, only=names, track=terminal.progress("picture"))
    terminal.show_skipped(dataset)
    embeddings = embedder.embed(dataset.crops)
    rng = np.random.default_rng(options.seed)
    rows = [
        row
        for _ in terminal.progress("split")(range(options.splits))
        for row in _split(dataset, embeddings, halves(len(dataset.people), rng))
    ]
    print(summary(rows, options.splits))


Row = tuple[float, float, bool, bool]
"""FMR asked for, FMR realised, whether it lies in the promised interval, whether its own holds what was asked for."""


def _split(dataset: Dataset, embeddings: NDArray[np.float32], parts: tuple[Indices, Indices]) -> list[Row]:
    chosen, others = (np.flatnonzero(np.isin(dataset.labels, part)) for part in parts)
    scores = [
        score(embeddings[rows], dataset.labels[rows], all_pairs(dataset.labels[rows])) for rows in (chosen, others)
    ]
    points = calibrate(scores[0], dataset.source).operating_points.values()
    realised = Rates(scores[1], np.array([point.threshold for point in points]))
    rows = []
    for index, point in enumerate(points):
        rate, (low, high) = float(realised.fmr[index]), realised.fmr_ci95(index)
        rows.append((point.fmr, rate, point.fmr_ci95[0] <= rate <= point.fmr_ci95[1], low <= point.fmr <= high))
    return rows


def summary(rows: list[Row], splits: int) -> str:
    lines = []
    for level in dict.fromkeys(row[0] for row in rows):
        of_level = [row for row in rows if row[0] == level]
        rates = [row[1] for row in of_level]
        promised, own = (sum(row[cell] for row in of_level) for cell in (2, 3))
        realised = f"{min(rates):.3g} to {max(rates):.3g}"
        lines.append([f"{level:g}", f"{len(of_level)} of {splits}", realised, f"{promised}", f"{own}"])
    return table(
        [
            "FMR",
            "splits",
            "realised FMR, lowest to highest",
            "in the promised interval",
            "own interval contains the promised FMR",
        ],
        lines,
    )


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
