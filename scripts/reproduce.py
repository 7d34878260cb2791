"""Runs both protocols over several seeds; writes a JSON file that can be resumed, and a table beside it.

The tutorial's protocol measures on other pairs of the people that it trained on. The people-disjoint one trains
on all folds of people but one and measures on all pairs of that one, each fold with its own network.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import terminal
from tqdm import tqdm

from model.data.dataset import Dataset, load
from model.data.people import PeopleFolder
from model.faces.finder import WholePicture
from model.reports.markdown import table
from model.training.protocols import disjoint_protocol, mean, tutorial_protocol
from model.training.tutorial import TUTORIAL_CROP, TutorialRecipe

PROTOCOLS = {"tutorial": "tutorial's protocol: people seen in training", "disjoint": "people never seen"}
ABOUT = "Median (range) over the seeds; of the people-disjoint protocol, the mean of the folds of each seed."
MEASURES = {
    "auc": "ROC AUC",
    "eer": "equal error rate",
    "accuracy_at_half": "accuracy at distance 0.5",
    "precision_at_half": 'precision at distance 0.5 (the tutorial\'s "accuracy")',
    "fmr_at_half": "FMR at distance 0.5",
    "fnmr_at_half": "FNMR at distance 0.5",
    "loss": "training loss, last epoch",
    "validation_loss": "validation loss, last epoch",
}


def measure(protocol: str, dataset: Dataset, recipe: TutorialRecipe, folds: int) -> dict[str, Any]:
    if protocol == "tutorial":
        return asdict(tutorial_protocol(dataset, recipe))
    return mean(disjoint_protocol(dataset, recipe, folds))


def summary(results: Sequence[dict[str, Any]]) -> str:
    """A Markdown table: median and range over the seeds, a column a protocol."""
    rows = []
    for name, title in MEASURES.items():
        cells = [_cell([row[name] for row in results if row["protocol"] == protocol]) for protocol in PROTOCOLS]
        rows.append([title, *cells])
    return table(["measure", *PROTOCOLS.values()], rows) + "\n"


def _cell(values: Sequence[float]) -> str:
    return f"{np.median(values):.4f} ({min(values):.4f} to {max(values):.4f})" if values else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of identities: the AT&T faces")
    parser.add_argument("--out", type=Path, required=True, help="JSON file; results in it are not made again")
    parser.add_argument("--seeds", type=int, default=5, help="number of runs of each protocol")
    parser.add_argument("--folds", type=int, default=4, help="number of people-disjoint folds")
    parser.add_argument("--epochs", type=int, default=TutorialRecipe().epochs)
    options = parser.parse_args()
    dataset = load(PeopleFolder(options.data), WholePicture(TUTORIAL_CROP), min_pictures=2)
    terminal.show_skipped(dataset)
    results: list[dict[str, Any]] = json.loads(options.out.read_text()) if options.out.exists() else []
    done = {(row["protocol"], row["seed"]) for row in results}
    todo = [(protocol, seed) for seed in range(options.seeds) for protocol in PROTOCOLS]
    for protocol, seed in tqdm([key for key in todo if key not in done], unit="run"):
        recipe = replace(TutorialRecipe(), seed=seed, epochs=options.epochs)
        figures = measure(protocol, dataset, recipe, options.folds)
        results.append({"protocol": protocol, "seed": seed, "folds": options.folds} | figures)
        with terminal.replacing(options.out) as file:
            file.write(json.dumps(results, indent=1).encode() + b"\n")
    with terminal.replacing(options.out.with_suffix(".md")) as file:
        file.write(f"## Both protocols on `{dataset.name}`\n\n{ABOUT}\n\n{summary(results)}".encode())
    print(summary(results))


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
