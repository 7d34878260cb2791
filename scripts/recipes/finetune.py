"""Fine-tunes a bundle on an organisation's own people, and keeps the better of the weights before and after.

People are split in three parts: some train, some choose between the weights and then the thresholds, some are only
measured. The measured people chose nothing, so their figures are honest; finetune.md says whether fine-tuning helped.
"""

import argparse
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import terminal
from recipes import checkpoint, options, transfer
from recipes.options import RunOptions

from model import bundle
from model.data.dataset import load
from model.data.people import PeopleFolder
from model.data.splits import finetuning_split
from model.embedding.embedder import Embedder
from model.error_rates.sample_size import require_support
from model.evaluation.calibration_data import calibrate_dataset
from model.evaluation.comparison import Comparison, compare
from model.reports import finetuning, report
from model.reports.readable_json import write_json
from model.training.transfer import TransferRecipe

DEFAULTS = replace(TransferRecipe(), name="finetune", rounds=4, learning_rate=2e-5, calibration_people=0, test_people=0)
"""No people given means a third each."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    options.add_flags(parser, DEFAULTS, Path("runs/finetune"))
    parser.add_argument("--init", required=True, help="the bundle to start from: a shipped one's name or a folder")
    parser.add_argument("--keep-tuned", action="store_true", help="save the tuned weights even if they are worse")


def run(given: argparse.Namespace) -> None:
    where, recipe = options.run_options(given), options.recipe_of(given, DEFAULTS)
    init, folder = transfer.starting_bundle(given.init, recipe), PeopleFolder(where.data)
    rng, seen = np.random.default_rng(recipe.seed), init.manifest.training.seen
    people = finetuning_split(folder, seen, recipe.calibration_people, recipe.test_people, rng)
    require_support(len(people.calibration))
    weights, trained = transfer.train(where, recipe, init, folder, people.training)
    start = Embedder(init)
    calibration, test = (load(folder, start.faces, only=part) for part in (people.calibration, people.test))
    for dataset in (calibration, test):
        terminal.show_skipped(dataset)
    after = transfer.trained_bundle(where, recipe, init, weights, trained, calibration)
    before = init.recalibrated(where.out.name, calibrate_dataset(calibration, start.embed(calibration.crops)))
    tuned = Embedder(after)
    chosen, measured = (compare(start, dataset, tuned, dataset) for dataset in (calibration, test))
    keep_tuned = given.keep_tuned or finetuning.is_better(chosen)
    bundle.save(where.out, after if keep_tuned else before)
    _report(where, chosen, measured, len(test.people), keep_tuned)
    checkpoint.beside(where.out).unlink(missing_ok=True)


def _report(where: RunOptions, chosen: Comparison, measured: Comparison, people: int, kept_tuned: bool) -> None:
    text = finetuning.report(chosen, measured, people, kept_tuned=kept_tuned)
    (where.out / "finetune.md").write_text(f"{text}\n\n{report.comparison(measured)}\n", encoding="utf-8")
    record = {"kept": "tuned" if kept_tuned else "before", "chosen_on": asdict(chosen), "measured": asdict(measured)}
    write_json(where.out / "finetune.json", record)
    print(f"{text}\nsaved {where.out}")
