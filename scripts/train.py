"""Trains a network by a recipe on a folder of identities and saves it as a bundle; --folds measures instead."""

import argparse
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from importlib.metadata import version
from pathlib import Path

import checkpoint
import numpy as np
import terminal

from model import bundle
from model.bundle import Bundle
from model.calibration import calibrate, require_support
from model.data import DataError, Dataset, hold_out, load
from model.embedder import embed, golden_crops, self_test_distances
from model.evaluation import score
from model.faces import WholePicture
from model.manifest import Calibration, Manifest, Training
from model.network import weights_of
from model.pairs import all_pairs
from model.protocols import disjoint_protocol, mean, run_figures
from model.training import RECIPES, TUTORIAL_CROP, PairSplit, Recipe, Run, fit, split_pairs


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--recipe", choices=RECIPES, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder of pictures a person")
    parser.add_argument("--out", type=Path, default=Path("runs/tutorial"), help="folder of the new bundle")
    parser.add_argument("--folds", type=int, help="measure by this many people-disjoint folds; saves no bundle")
    parser.add_argument("--credit", action="append", default=[], help="a licence or credit to put into the bundle")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    for field in fields(Recipe):
        if field.name != "name":
            flag = "--" + field.name.replace("_", "-")
            parser.add_argument(flag, type=type(field.default), help="as in the recipe", default=argparse.SUPPRESS)
    return parser.parse_args()


def train(run: Run, dataset: Dataset, split: PairSplit, path: Path) -> None:
    started = time.perf_counter()
    for report in fit(run, dataset.crops, split, terminal.progress("batch")):
        checkpoint.save(path, run, dataset)
        seconds, started = time.perf_counter() - started, time.perf_counter()
        print(
            f"epoch {report.epoch}/{run.recipe.epochs}: loss {report.loss:.4f}, "
            f"validation loss {report.validation_loss:.4f}, {seconds:.1f} s",
            flush=True,
        )


def calibration_of(run: Run, dataset: Dataset) -> Calibration:
    scores = score(embed(run.network, dataset.crops), dataset.labels, all_pairs(dataset.labels))
    return calibrate(scores, dataset.source)


def manifest_of(
    run: Run, trained: Dataset, name: str, calibration: Calibration | None, licences: Sequence[str]
) -> Manifest:
    golden = embed(run.network, golden_crops(TUTORIAL_CROP))
    return Manifest(
        name=name,
        version="1",
        backbone=run.recipe.backbone,
        embedding_size=golden.shape[1],
        normalized=False,
        metric="euclidean",
        crop=TUTORIAL_CROP,
        detector="whole_picture",
        weights_sha256="",
        self_test=self_test_distances(golden),
        licences=tuple(licences),
        training=Training(
            recipe=asdict(run.recipe),
            data=trained.source,
            commit=commit(),
            versions={package: version(package) for package in ("facepair", "torch", "numpy", "pillow")},
        ),
        calibration=calibration,
    )


def commit() -> str:
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return git.stdout.strip() or "unknown"


def make_bundle(options: argparse.Namespace, recipe: Recipe, dataset: Dataset) -> None:
    path = checkpoint.beside(options.out)
    if options.out.exists():
        raise DataError(f"{options.out} exists already: choose another --out or remove it")
    trained, held_out = dataset, None
    if recipe.calibration_people:
        rng = np.random.default_rng(recipe.seed)
        training, calibration = hold_out(len(dataset.people), recipe.calibration_people, rng)
        trained, held_out = dataset.of(training), dataset.of(calibration)
        require_support(len(held_out.people))
    run, split = Run(recipe), split_pairs(trained, recipe)
    if options.resume:
        checkpoint.restore(path, run, trained)
    train(run, trained, split, path)
    show_figures("unseen pairs of people seen in training", vars(run_figures(run, trained, split.test)))
    calibrated = calibration_of(run, held_out) if held_out else None
    manifest = manifest_of(run, trained, options.out.name, calibrated, options.credit)
    bundle.save(options.out, Bundle(manifest, weights_of(run.network)))
    path.unlink()
    print(f"saved {options.out}" + ("" if calibrated else "; it is not calibrated, so it can be measured, not served"))


def show_figures(title: str, figures: dict[str, float]) -> None:
    print(f"{title}: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))


def main() -> None:
    options = parse()
    given = {field.name: value for field in fields(Recipe) if (value := vars(options).get(field.name)) is not None}
    recipe = replace(RECIPES[options.recipe], **given)
    dataset = load(options.data, WholePicture(TUTORIAL_CROP), min_pictures=2, track=terminal.progress("picture"))
    terminal.show_skipped(dataset)
    if options.folds is None:
        return make_bundle(options, recipe, dataset)
    measured = []
    for fold, figures in enumerate(disjoint_protocol(dataset, recipe, options.folds), start=1):
        show_figures(f"fold {fold}/{options.folds}, people never seen", vars(figures))
        measured.append(figures)
    return show_figures("mean of the folds", mean(measured))


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
