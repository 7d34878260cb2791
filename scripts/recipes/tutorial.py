"""Trains the tutorial's siamese network on whole pictures; --folds measures the recipe instead.

Without --calibration-people everybody trains, as in the tutorial; nobody is then left to choose thresholds on, and the
bundle can be measured but not served.
"""

import argparse
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import terminal
from recipes import checkpoint, options
from recipes.options import RunOptions

from model import bundle
from model.bundle import Bundle
from model.data.dataset import Dataset, load
from model.data.people import DataError, PeopleFolder
from model.data.splits import PairSplit, hold_out
from model.embedding.backbones import network
from model.engines import engine
from model.error_rates.sample_size import require_support
from model.evaluation.calibration_data import calibrate_dataset
from model.faces.finder import WholePicture
from model.training.protocols import disjoint_protocol, mean, run_figures
from model.training.provenance import manifest_of
from model.training.trainable import weights_of
from model.training.tutorial import TUTORIAL_CROP, TutorialRecipe, TutorialRun, fit, split_pairs

OUT = Path("runs/tutorial")


def add_flags(parser: argparse.ArgumentParser) -> None:
    options.add_flags(parser, TutorialRecipe(), OUT)
    parser.add_argument("--folds", type=int, help="measure by this many people-disjoint folds; save no bundle")


def run(given: argparse.Namespace) -> None:
    recipe = options.recipe_of(given, TutorialRecipe())
    if given.folds is None:
        make_bundle(options.run_options(given), recipe)
    elif given.resume or given.credit or given.out != OUT:
        raise DataError("--folds saves no bundle: it takes no --out, --credit or --resume")
    else:
        measure_folds(_load(given.data), recipe, given.folds)


def measure_folds(dataset: Dataset, recipe: TutorialRecipe, folds: int) -> None:
    measured = []
    for fold, figures in enumerate(disjoint_protocol(dataset, recipe, folds), start=1):
        _show_figures(f"fold {fold}/{folds}, people never seen", vars(figures))
        measured.append(figures)
    _show_figures("mean of the folds", mean(measured))


def make_bundle(where: RunOptions, recipe: TutorialRecipe) -> None:
    path = checkpoint.beside(where.out)
    trained, held_out = _hold_out(_load(where.data), recipe)
    training, split = TutorialRun(recipe), split_pairs(trained, recipe)
    if where.resume:
        checkpoint.restore(path, training, trained.source.sha256)
    _train(training, trained, split, path)
    _show_figures("unseen pairs of people seen in training", vars(run_figures(training, trained, split.test)))
    weights = weights_of(training.network)
    embeds = engine("torch").load(network(recipe.backbone, weights, TUTORIAL_CROP))
    manifest = manifest_of(
        embeds,
        where.out.name,
        TUTORIAL_CROP,
        asdict(recipe),
        trained.source,
        where.credit,
        calibration=calibrate_dataset(held_out, embeds(held_out.crops)[0]) if held_out else None,
    )
    bundle.save(where.out, Bundle(manifest, weights))
    path.unlink()
    print(f"saved {where.out}" + ("" if held_out else "; it is not calibrated, so it can be measured, not served"))


def _load(data: Path) -> Dataset:
    folder, finder = PeopleFolder(data), WholePicture(TUTORIAL_CROP)
    dataset = load(folder, finder, min_pictures=2, progress=terminal.progress("picture"))
    terminal.show_skipped(dataset)
    return dataset


def _hold_out(dataset: Dataset, recipe: TutorialRecipe) -> tuple[Dataset, Dataset | None]:
    if not recipe.calibration_people:
        return dataset, None
    rng = np.random.default_rng(recipe.seed)
    training, calibration = hold_out(len(dataset.people), recipe.calibration_people, rng)
    require_support(len(calibration))
    return dataset.of(training), dataset.of(calibration)


def _train(training: TutorialRun, dataset: Dataset, split: PairSplit, path: Path) -> None:
    started = time.perf_counter()
    for report in fit(training, dataset.crops, split, terminal.progress("batch")):
        checkpoint.save(path, training, dataset.source.sha256)
        seconds, started = time.perf_counter() - started, time.perf_counter()
        print(
            f"epoch {report.epoch}/{training.recipe.epochs}: loss {report.loss:.4f}, "
            f"validation loss {report.validation_loss:.4f}, {seconds:.1f} s",
            flush=True,
        )


def _show_figures(title: str, figures: dict[str, float]) -> None:
    print(f"{title}: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
