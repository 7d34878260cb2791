"""Fine-tuning on an organisation's own people: never silently worse, and told plainly when it did not help.

People are split in three: some train, some choose between the weights before and after and then the thresholds, some
are only measured. Who chose is not who is measured, so that the figures of the last are honest.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace

import msgspec
import numpy as np
import terminal
from recipes import checkpoint, transfer

from model import bundle
from model.bundle import Bundle
from model.data.dataset import Dataset, load
from model.data.people import DataError, fingerprints_in, people_in
from model.embedding.embedder import Embedder
from model.evaluation.calibration import require_support
from model.evaluation.calibration_data import calibration_of
from model.evaluation.comparison import compare
from model.reports import finetuning, report
from model.training.transfer import TransferRecipe

DEFAULTS = replace(TransferRecipe(), name="finetune", rounds=4, learning_rate=2e-5, calibration_people=0, test_people=0)
"""No people given means a third each."""


def run(options: argparse.Namespace, recipe: TransferRecipe) -> None:
    init = transfer.starting_bundle(options, recipe)
    training, calibration, test = split(options, init, recipe)
    weights, trained = transfer.train(options, recipe, init, training)
    held_out = [load(options.data, Embedder(init).faces, only=names) for names in (calibration, test)]
    for dataset in held_out:
        terminal.show_skipped(dataset)
    after = transfer.finished(options, recipe, init, weights, trained, held_out[0])
    before = _calibrated_anew(init, options.out.name, held_out[0])
    chosen = compare(Embedder(before), held_out[0], Embedder(after), held_out[0])
    measured = compare(Embedder(before), held_out[1], Embedder(after), held_out[1])
    helped = finetuning.is_better(chosen)
    kept = after if helped or options.keep_tuned else before
    bundle.save(options.out, kept)
    text = finetuning.report(chosen, measured, people=len(held_out[1].people), kept_tuned=kept is after)
    (options.out / "finetune.md").write_text(f"{text}\n\n{report.comparison(measured)}\n", encoding="utf-8")
    record = {"kept": "tuned" if kept is after else "before", "chosen_on": asdict(chosen), "measured": asdict(measured)}
    (options.out / "finetune.json").write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    print(f"{text}\nsaved {options.out}")
    checkpoint.beside(options.out).unlink(missing_ok=True)


def split(options: argparse.Namespace, init: Bundle, recipe: TransferRecipe) -> Sequence[list[str]]:
    """Names of people to train on, to choose on and to measure on; whom the start has seen can only train."""
    seen = init.manifest.training.seen
    known = fingerprints_in(options.data)
    files = people_in(options.data)
    several = [name for name in files if len(files[name]) > 1]
    free = [name for name in several if known[name] not in seen]
    chosen, measured = (count or len(several) // 3 for count in (recipe.calibration_people, recipe.test_people))
    if len(several) - chosen - measured < 2 or len(free) < chosen + measured:
        raise DataError(
            f"{options.data}: {len(several)} people have two pictures or more, {len(free)} of them not seen by the "
            f"start; {chosen} to choose thresholds, {measured} to measure and two to train are too many"
        )
    require_support(chosen)
    order = np.random.default_rng(recipe.seed).permutation(free).tolist()
    held_out = order[:chosen], order[chosen : chosen + measured]
    return [name for name in files if name not in {*held_out[0], *held_out[1]}], *held_out


def _calibrated_anew(init: Bundle, name: str, dataset: Dataset) -> Bundle:
    embeddings = Embedder(init).embed(dataset.crops)
    calibration = calibration_of(dataset, embeddings)
    return replace(init, manifest=msgspec.structs.replace(init.manifest, name=name, calibration=calibration))
