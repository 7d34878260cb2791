"""Trains the tutorial's siamese network on handwritten digits instead of faces, and measures it on digits never seen.

A data set is any folder of classes: here ten digits take the place of people. Each fold trains on eight digits and
is measured on the two others. The pictures are scikit-learn's `load_digits`: 1,797 of 8 x 8 pixels, from the UCI
repository (Alpaydin, Kaynak, "Optical Recognition of Handwritten Digits", 1998).
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import terminal
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from model.data.dataset import Dataset, Indices, load
from model.data.pairs import all_pairs
from model.data.people import PeopleFolder
from model.data.splits import folds
from model.faces.finder import WholePicture
from model.reports.markdown import table
from model.training.protocols import ProtocolFigures, run_figures
from model.training.trainable import embed
from model.training.tutorial import TUTORIAL_CROP, TutorialRecipe, TutorialRun, fit, split_pairs

FOLDS = 5
RECIPE = TutorialRecipe(name="digits", genuine_pairs=3000, impostor_pairs=3000, epochs=6)
ABOUT = """# The siamese network of the tutorial on handwritten digits

Each of {folds} networks trains on pairs of eight digits and is measured twice: on other pairs of the same eight, and on
all pairs of the two digits that it never saw. Values are means over the networks, in brackets the lowest and the
highest. Two classes at a time are few: the range, not the mean, says how far to trust a network with a new class.
Made by `make digits`.
"""
MEASURES = {
    "auc": "ROC AUC",
    "eer": "equal error rate",
    "fmr_at_half": "FMR at distance 0.5",
    "fnmr_at_half": "FNMR at distance 0.5",
}


@dataclass(frozen=True)
class Fold:
    """What one network gives; `embeddings`, (pictures, 50), are of all ten digits."""

    seen: ProtocolFigures
    unseen: ProtocolFigures
    embeddings: NDArray[np.float32]
    never_seen: Indices


def write_digits(folder: Path) -> Path:
    """A folder with a sub-folder a digit and a picture a file, as large as the tutorial's faces."""
    digits = load_digits()
    for number, (pixels, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        home = folder / str(digit)
        home.mkdir(parents=True, exist_ok=True)
        drawn = Image.fromarray((pixels * 255 / 16).astype(np.uint8)).resize((80, 80), Image.Resampling.BICUBIC)
        page = Image.new("L", (92, 112))
        page.paste(drawn, (6, 16))
        page.save(home / f"{number}.png")
    return folder


def run_folds(digits: Dataset, recipe: TutorialRecipe) -> Iterator[Fold]:
    for seen, unseen in folds(len(digits.people), FOLDS, np.random.default_rng(recipe.seed)):
        training, measured = digits.of(seen), digits.of(unseen)
        run, split = TutorialRun(recipe), split_pairs(training, recipe)
        for _ in fit(run, training.crops, split):
            pass
        yield Fold(
            run_figures(run, training, split.test),
            run_figures(run, measured, all_pairs(measured.labels)),
            embed(run.network, digits.crops),
            unseen,
        )


def report(results: list[Fold]) -> str:
    """The figures in Markdown: of digits seen in training, and of digits never seen."""
    seen, unseen = [fold.seen for fold in results], [fold.unseen for fold in results]
    rows = [[title, _range(seen, name), _range(unseen, name)] for name, title in MEASURES.items()]
    rows += [
        [
            f"{kind} pairs",
            *(f"{sum(getattr(figures, f'{kind}_pairs') for figures in side):,}" for side in (seen, unseen)),
        ]
        for kind in ("genuine", "impostor")
    ]
    figures = table(["measure", "digits seen in training", "digits never seen"], rows)
    return f"{ABOUT.format(folds=FOLDS)}\n{figures}\n\n![Embeddings](embeddings.svg)\n"


def plot(fold: Fold, labels: Indices) -> Figure:
    """All embeddings of one network along their two main directions."""
    centred = fold.embeddings - fold.embeddings.mean(axis=0)
    places = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    figure = Figure(figsize=(7, 5.5), dpi=110, layout="constrained")
    axes = figure.subplots()
    for digit in range(10):
        here, new = places[labels == digit], digit in fold.never_seen
        label = f"{digit}, never seen" if new else str(digit)
        size, marker = (24, "x") if new else (6, "o")
        axes.scatter(here[:, 0], here[:, 1], s=size, marker=marker, label=label, alpha=0.7, rasterized=True)
    axes.set(title="Embeddings of one network. Crosses: digits that it never saw")
    axes.set(xlabel="first principal component", ylabel="second principal component")
    axes.legend(fontsize=8)
    return figure


def _range(several: list[ProtocolFigures], name: str) -> str:
    values = [float(getattr(figures, name)) for figures in several]
    return f"{np.mean(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/digits"), help="folder for pictures, report and plot")
    parser.add_argument("--epochs", type=terminal.positive, default=RECIPE.epochs)
    options = parser.parse_args()
    folder = PeopleFolder(write_digits(options.out / "pictures"))
    digits = load(folder, WholePicture(TUTORIAL_CROP), min_pictures=2, progress=terminal.progress("picture"))
    terminal.show_skipped(digits)
    results = list(terminal.progress("network")(run_folds(digits, replace(RECIPE, epochs=options.epochs))))
    text = report(results)
    (options.out / "report.md").write_text(text, encoding="utf-8")
    plot(results[0], digits.labels).savefig(options.out / "embeddings.svg", metadata={"Date": None})
    print(text)


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
