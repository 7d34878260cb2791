"""Checks whether thresholds hold for other people: chooses them on half of the people and measures on the rest, often.

People that the bundle was trained on are left out. The table counts how often the realised rates lie in the promised
intervals: these are for as many other people, so it should be 19 times in 20. It also counts how often the realised
FMR's own confidence interval holds the level asked for; that varies by the chance of both halves, so 17 times in 20.
"""

import argparse
from dataclasses import dataclass
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
from model.error_rates.at_thresholds import RatesAtThresholds
from model.evaluation.calibration import calibrate
from model.evaluation.scoring import score, untrained
from model.reports.markdown import table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True, help="a shipped bundle's name or a folder")
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder of pictures a person")
    parser.add_argument(
        "--without",
        nargs="*",
        default=[],
        help="people to leave out, as those who are there a second time under another name",
    )
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    embedder = Embedder(bundle.load(bundle.find(options.bundle)))
    folder = PeopleFolder(options.data)
    if unknown := sorted(set(options.without) - set(folder.files)):
        parser.error(f"nobody in {options.data} is called {', '.join(unknown)}")
    names = set(untrained([embedder.manifest], folder)) - set(options.without)
    dataset = load(folder, embedder.faces, only=names, progress=terminal.progress("picture"))
    terminal.show_skipped(dataset)
    embeddings = embedder.embed(dataset.crops)
    rng = np.random.default_rng(options.seed)
    rows = [
        row
        for _ in terminal.progress("split")(range(options.splits))
        for row in split(dataset, embeddings, halves(len(dataset.people), rng))
    ]
    print(summary(rows, options.splits))


@dataclass(frozen=True)
class Row:
    """One level of one split: FMR asked for and realised, and what lies in which interval."""

    asked: float
    realised: float
    fmr_as_promised: bool
    fnmr_as_promised: bool
    own_holds_asked: bool


def split(dataset: Dataset, embeddings: NDArray[np.float32], parts: tuple[Indices, Indices]) -> list[Row]:
    chosen, others = (np.flatnonzero(np.isin(dataset.labels, part)) for part in parts)
    scores = [
        score(embeddings[rows], dataset.labels[rows], all_pairs(dataset.labels[rows])) for rows in (chosen, others)
    ]
    points = calibrate(scores[0], dataset.source).operating_points.values()
    realised = RatesAtThresholds(scores[1], np.array([point.threshold for point in points]))
    return [
        Row(
            point.fmr,
            float(realised.fmr[index]),
            _holds(point.fmr_ci95, float(realised.fmr[index])),
            _holds(point.fnmr_ci95, float(realised.fnmr[index])),
            _holds(realised.fmr_ci95(index), point.fmr),
        )
        for index, point in enumerate(points)
    ]


def _holds(interval: tuple[float, float], rate: float) -> bool:
    return interval[0] <= rate <= interval[1]


def summary(rows: list[Row], splits: int) -> str:
    lines = []
    for level in dict.fromkeys(row.asked for row in rows):
        of_level = [row for row in rows if row.asked == level]
        rates = [row.realised for row in of_level]
        held = [
            sum(row.fmr_as_promised for row in of_level),
            sum(row.fnmr_as_promised for row in of_level),
            sum(row.own_holds_asked for row in of_level),
        ]
        realised = f"{min(rates):.3g} to {max(rates):.3g}"
        lines.append([f"{level:g}", f"{len(of_level)} of {splits}", realised, *map(str, held)])
    return table(
        [
            "FMR",
            "splits",
            "realised FMR, lowest to highest",
            "FMR in the promised interval",
            "FNMR in the promised interval",
            "own interval contains the level",
        ],
        lines,
    )


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
