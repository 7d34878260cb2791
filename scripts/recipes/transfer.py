"""Trains a good network further, as a siamese network, on crops that its own detector makes."""

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import numpy as np
import terminal
from recipes import checkpoint, options
from recipes.options import RunOptions

from model import bundle
from model.bundle import Bundle, finder_of
from model.data.dataset import Dataset, load
from model.data.people import DataError, PeopleFolder
from model.data.splits import transfer_split
from model.embedding.backbones import BACKBONES, network
from model.engines import Weights, engine
from model.error_rates.sample_size import require_support
from model.evaluation.calibration_data import calibrate_dataset
from model.manifest import DataSource
from model.training.augmentation import widened
from model.training.provenance import manifest_of
from model.training.trainable import Trainable
from model.training.transfer import DistillationData, TransferRecipe, TransferRun, fit, targets


def add_flags(parser: argparse.ArgumentParser) -> None:
    options.add_flags(parser, TransferRecipe(), Path("runs/transfer"))
    parser.add_argument("--init", required=True, help="the bundle to start from: a shipped one's name or a folder")


def run(given: argparse.Namespace) -> None:
    where, recipe = options.run_options(given), options.recipe_of(given, TransferRecipe())
    init, folder = starting_bundle(given.init, recipe), PeopleFolder(where.data)
    require_support(recipe.calibration_people)
    rng, seen = np.random.default_rng(recipe.seed), init.manifest.training.seen
    people = transfer_split(folder, seen, recipe.calibration_people, recipe.test_people, rng)
    weights, trained = train(where, recipe, init, folder, people.training)
    calibration = load(folder, finder_of(init), only=people.calibration, progress=terminal.progress("picture"))
    terminal.show_skipped(calibration)
    bundle.save(where.out, trained_bundle(where, recipe, init, weights, trained, calibration))
    print(f"saved {where.out}")
    checkpoint.beside(where.out).unlink(missing_ok=True)


def starting_bundle(name_or_folder: str, recipe: TransferRecipe) -> Bundle:
    init = bundle.load(bundle.find(name_or_folder))
    if init.manifest.backbone != recipe.backbone or not init.manifest.detector:
        raise DataError(f"{name_or_folder}: the recipe {recipe.name} starts from a {recipe.backbone} with a detector")
    return init


def train(
    where: RunOptions, recipe: TransferRecipe, init: Bundle, folder: PeopleFolder, people: Sequence[str]
) -> tuple[Weights, DataSource]:
    """Weights in half precision, which halves the bundle: everything that follows is measured with what is stored."""
    path = checkpoint.beside(where.out)
    dataset = _load_wide_crops(folder, init, people)
    start = Trainable(BACKBONES[recipe.backbone], init.weights)
    training = TransferRun(recipe, start)
    if where.resume:
        checkpoint.restore(path, training, dataset.source.sha256)
    wanted = targets(start, dataset.crops, terminal.progress("batch"))
    _train(training, DistillationData(dataset.crops, wanted, dataset.labels), dataset.source.sha256, path)
    weights = training.interpolated_weights()
    return {name: array.astype(np.float16) for name, array in weights.items()}, dataset.source


def trained_bundle(
    where: RunOptions,
    recipe: TransferRecipe,
    init: Bundle,
    weights: Weights,
    trained: DataSource,
    calibration: Dataset,
) -> Bundle:
    """The new bundle, with operating points from `calibration`."""
    crop, mirrored = init.manifest.crop, init.manifest.mirrored
    run = engine("torch").load(network(recipe.backbone, weights, crop, mirrored=mirrored))
    manifest = manifest_of(
        run,
        where.out.name,
        crop,
        {**asdict(recipe), "init": init.manifest.weights_sha256},
        trained,
        [*init.manifest.licences, *where.credit],
        detector=init.manifest.detector,
        normalized=True,
        mirrored=mirrored,
        calibration=calibrate_dataset(calibration, run(calibration.crops)[0]),
        seen_before=init.manifest.training.seen_people,
        undisclosed=init.manifest.training.undisclosed,
    )
    return Bundle(manifest, weights, init.detector_weights)


def _load_wide_crops(folder: PeopleFolder, init: Bundle, people: Sequence[str]) -> Dataset:
    wide = msgspec.structs.replace(init.manifest, crop=widened(init.manifest.crop))
    dataset = load(folder, finder_of(replace(init, manifest=wide)), only=people, progress=terminal.progress("picture"))
    terminal.show_skipped(dataset)
    return dataset


def _train(training: TransferRun, data: DistillationData, data_sha256: str, path: Path) -> None:
    started = time.perf_counter()
    for report in fit(training, data, terminal.progress("step")):
        checkpoint.save(path, training, data_sha256)
        seconds, started = time.perf_counter() - started, time.perf_counter()
        print(
            f"round {report.round}/{training.recipe.rounds}: to target {report.to_target:.5f}, "
            f"pairs {report.pairs_loss:.5f}, {seconds:.0f} s",
            flush=True,
        )
