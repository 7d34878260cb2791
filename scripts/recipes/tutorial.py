"""The tutorial's recipe, carried out: pairs of whole pictures, contrastive loss, thresholds on people held out."""

import argparse
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import terminal
from recipes import checkpoint, manifests

from model import bundle
from model.bundle import Bundle
from model.data.dataset import Dataset, load
from model.data.splits import hold_out
from model.embedding.backbones import weights_of
from model.embedding.engines import embed
from model.evaluation.calibration import require_support
from model.evaluation.calibration_data import calibration_of
from model.faces.finder import WholePicture
from model.manifest import Calibration
from model.training.protocols import disjoint_protocol, mean, run_figures
from model.training.tutorial import TUTORIAL_CROP, PairSplit, Recipe, Run, fit, split_pairs


def run(options: argparse.Namespace, recipe: Recipe) -> None:
    dataset = load(options.data, WholePicture(TUTORIAL_CROP), min_pictures=2, track=terminal.progress("picture"))
    terminal.show_skipped(dataset)
    if options.folds is None:
        return _make_bundle(options, recipe, dataset)
    measured = []
    for fold, figures in enumerate(disjoint_protocol(dataset, recipe, options.folds), start=1):
        _show_figures(f"fold {fold}/{options.folds}, people never seen", vars(figures))
        measured.append(figures)
    return _show_figures("mean of the folds", mean(measured))


def _make_bundle(options: argparse.Namespace, recipe: Recipe, dataset: Dataset) -> None:
    path = checkpoint.beside(options.out)
    trained, held_out = dataset, None
    if recipe.calibration_people:
        rng = np.random.default_rng(recipe.seed)
        training, calibration = hold_out(len(dataset.people), recipe.calibration_people, rng)
        trained, held_out = dataset.of(training), dataset.of(calibration)
        require_support(len(held_out.people))
    run, split = Run(recipe), split_pairs(trained, recipe)
    if options.resume:
        checkpoint.restore(path, run, trained.source.sha256)
    _train(run, trained, split, path)
    _show_figures("unseen pairs of people seen in training", vars(run_figures(run, trained, split.test)))
    manifest = manifests.manifest(
        run.network,
        options.out.name,
        TUTORIAL_CROP,
        asdict(recipe),
        trained.source,
        options.credit,
        calibration=_calibration(run, held_out) if held_out else None,
    )
    bundle.save(options.out, Bundle(manifest, weights_of(run.network)))
    path.unlink()
    print(f"saved {options.out}" + ("" if held_out else "; it is not calibrated, so it can be measured, not served"))


def _train(run: Run, dataset: Dataset, split: PairSplit, path: Path) -> None:
    started = time.perf_counter()
    for report in fit(run, dataset.crops, split, terminal.progress("batch")):
        checkpoint.save(path, run, dataset.source.sha256)
        seconds, started = time.perf_counter() - started, time.perf_counter()
        print(
            f"epoch {report.epoch}/{run.recipe.epochs}: loss {report.loss:.4f}, "
            f"validation loss {report.validation_loss:.4f}, {seconds:.1f} s",
            flush=True,
        )


def _calibration(run: Run, dataset: Dataset) -> Calibration:
    return calibration_of(dataset, embed(run.network, dataset.crops))


def _show_figures(title: str, figures: dict[str, float]) -> None:
    print(f"{title}: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
