"""Measures how often a person is still recognised when one of two pictures gets worse.

It writes robustness.md, .json and .png. It takes one pair of pictures a person. The bundle was not trained on these
people and, where there are enough others, they did not choose its thresholds.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
import terminal
from matplotlib.figure import Figure

from model import bundle
from model.data.people import PeopleFolder
from model.decision import Policy
from model.embedding.embedder import Embedder
from model.evaluation.robustness import KINDS, Point, measure
from model.evaluation.scoring import unseen_by
from model.reports.markdown import table
from model.reports.readable_json import write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True, help="a shipped bundle's name or a folder")
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder of pictures a person")
    parser.add_argument("--people", type=terminal.positive, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    options = parser.parse_args()
    embedder = Embedder(bundle.load(bundle.find(options.bundle)))
    point = Policy(embedder.manifest).operating_point()
    folder = PeopleFolder(options.data)
    names = [name for name in unseen_by([embedder.manifest], folder) if len(folder.files[name]) > 1]
    terminal.show_shared([embedder.manifest], folder, names)
    rng = np.random.default_rng(options.seed)
    pairs = [(folder.files[name][0], folder.files[name][1]) for name in rng.permutation(names)[: options.people]]
    points = measure(embedder, pairs, point.threshold, terminal.progress("severity"))
    options.out.mkdir(parents=True, exist_ok=True)
    title = f"Bundle {embedder.manifest.name} on {points[0].pairs} people of {options.data.name}, FMR {point.fmr:g}"
    (options.out / "robustness.md").write_text(report(title, points), encoding="utf-8")
    write_json(options.out / "robustness.json", [asdict(measured) for measured in points])
    plot(title, points).savefig(options.out / "robustness.png")
    print(report(title, points))


def report(title: str, points: tuple[Point, ...]) -> str:
    rows = [
        [
            f"{point.kind}, {KINDS[point.kind].unit}", f"{point.severity:g}",
            f"{point.without_face}", f"{point.rejected}",
            f"{100 * point.generalised_fnmr:.1f} % ({100 * point.ci95[0]:.1f} to {100 * point.ci95[1]:.1f})",
        ]
        for point in points
    ]  # fmt: skip
    head = ["damage to one of two pictures", "severity", "no face", "told apart", "not recognised, of all (95 %)"]
    return f"# Robustness\n\n{title}.\n\n{table(head, rows)}\n\n![Robustness](robustness.png)\n"


def plot(title: str, points: tuple[Point, ...]) -> Figure:
    figure = Figure(figsize=(9, 6.5), dpi=110, layout="constrained")
    figure.suptitle(title)
    for axes, (name, kind) in zip(figure.subplots(2, 4).flat, KINDS.items(), strict=False):
        of_kind = [point for point in points if point.kind == name]
        places = range(len(of_kind))
        low, high = ([point.ci95[end] for point in of_kind] for end in (0, 1))
        axes.plot(places, [point.generalised_fnmr for point in of_kind], "o-")
        axes.fill_between(places, low, high, alpha=0.2)
        axes.set_xticks(places, [f"{point.severity:g}" for point in of_kind])
        axes.set(title=name, xlabel=kind.unit, ylim=(0, 1))
        axes.grid(visible=True, alpha=0.3)
    figure.axes[0].set_ylabel("not recognised")
    figure.axes[-1].set_axis_off()
    return figure


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
