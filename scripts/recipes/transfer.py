"""Transfer, carried out: from a bundle to a better one, on crops that its own detector makes."""

import argparse
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
import terminal
from recipes import checkpoint, manifests
from torch import Tensor

from model import bundle
from model.bundle import Bundle, finder_of
from model.data.dataset import Dataset, load
from model.data.people import DataError, fingerprints_in, people_in
from model.embedding import backbones
from model.embedding.engines import embed
from model.evaluation.calibration import require_support
from model.evaluation.calibration_data import calibration_of
from model.manifest import DataSource
from model.training.augmentation import widened
from model.training.transfer import Lessons, TransferRecipe, TransferRun, fit, targets

Weights: TypeAlias = dict[str, Tensor]


class Split(NamedTuple):
    """Names of people's folders."""

    training: list[str]
    calibration: list[str]


def run(options: argparse.Namespace, recipe: TransferRecipe) -> None:
    init = starting_bundle(options, recipe)
    people = split(options.data, init, recipe)
    weights, trained = train(options, recipe, init, people.training)
    calibration = load(options.data, finder_of(init), only=people.calibration, track=terminal.progress("picture"))
    terminal.show_skipped(calibration)
    bundle.save(options.out, finished(options, recipe, init, weights, trained, calibration))
    print(f"saved {options.out}")
    checkpoint.beside(options.out).unlink(missing_ok=True)


def starting_bundle(options: argparse.Namespace, recipe: TransferRecipe) -> Bundle:
    if options.init is None:
        raise DataError(f"the recipe {recipe.name} needs --init, the bundle to start from")
    init = bundle.load(bundle.find(options.init))
    if init.manifest.backbone != recipe.backbone or not init.manifest.detector:
        raise DataError(f"{options.init}: the recipe {recipe.name} starts from a {recipe.backbone} with a detector")
    return init


def train(
    options: argparse.Namespace, recipe: TransferRecipe, init: Bundle, people: list[str]
) -> tuple[Weights, DataSource]:
    """Weights in half precision, which halves the bundle: everything that follows is measured with what is stored."""
    path = checkpoint.beside(options.out)
    dataset = _load_wide(options.data, init, people)
    start = backbones.build(recipe.backbone, init.weights)
    training = TransferRun(recipe, start)
    if options.resume:
        checkpoint.restore(path, training, dataset.source.sha256)
    wanted = targets(start, dataset.crops, terminal.progress("batch"))
    _train(training, Lessons(dataset.crops, wanted, dataset.labels), dataset.source.sha256, path)
    return {name: tensor.half() for name, tensor in training.mixed().items()}, dataset.source


def finished(
    options: argparse.Namespace,
    recipe: TransferRecipe,
    init: Bundle,
    weights: Weights,
    trained: DataSource,
    calibration: Dataset,
) -> Bundle:
    """The new bundle, with operating points from `calibration`."""
    result = backbones.build(recipe.backbone, weights, mirrored=init.manifest.mirrored)
    manifest = manifests.manifest(
        result,
        options.out.name,
        init.manifest.crop,
        {**asdict(recipe), "init": init.manifest.weights_sha256},
        trained,
        [*init.manifest.licences, *options.credit],
        detector=init.manifest.detector,
        normalized=True,
        mirrored=init.manifest.mirrored,
        calibration=calibration_of(calibration, embed(result, calibration.crops)),
        seen_before=init.manifest.training.seen,
    )
    return Bundle(manifest, weights, init.detector_weights)


def split(data: Path, init: Bundle, recipe: TransferRecipe) -> Split:
    """People to train on and to calibrate on; `test_people` more, with two pictures or more, are in neither.

    Whom the start has seen can only train.
    """
    rng = np.random.default_rng(recipe.seed)
    files, known = people_in(data), fingerprints_in(data)
    free = [name for name in files if known[name] not in init.manifest.training.seen]
    test = _draw([name for name in free if len(files[name]) > 1], recipe.test_people, rng)
    rest = [name for name in free if name not in test]
    require_support(recipe.calibration_people)
    calibration = _draw(rest, recipe.calibration_people, rng)
    return Split([name for name in files if name not in test | calibration], sorted(calibration))


def _draw(names: list[str], count: int, rng: np.random.Generator) -> set[str]:
    if len(names) <= count:
        raise DataError(f"cannot hold out {count} of {len(names)} people whom the start has not seen")
    return set(rng.choice(names, count, replace=False).tolist())


def _load_wide(data: Path, init: Bundle, people: list[str]) -> Dataset:
    wide = msgspec.structs.replace(init.manifest, crop=widened(init.manifest.crop))
    dataset = load(data, finder_of(replace(init, manifest=wide)), only=people, track=terminal.progress("picture"))
    terminal.show_skipped(dataset)
    return dataset


def _train(run: TransferRun, lessons: Lessons, data_sha256: str, path: Path) -> None:
    started = time.perf_counter()
    for report in fit(run, lessons, terminal.progress("step")):
        checkpoint.save(path, run, data_sha256)
        seconds, started = time.perf_counter() - started, time.perf_counter()
        print(
            f"round {report.round}/{run.recipe.rounds}: to target {report.to_target:.5f}, "
            f"pairs {report.pairs_loss:.5f}, {seconds:.0f} s",
            flush=True,
        )
