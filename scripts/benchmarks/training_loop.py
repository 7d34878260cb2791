"""Measures what the training loop adds to bare forward and backward passes, side by side in one run."""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from model.data.dataset import load
from model.data.people import PeopleFolder
from model.faces.finder import WholePicture
from model.training.tutorial import TUTORIAL_CROP, TutorialRecipe, TutorialRun, fit, split_pairs, train_step


def bare_epoch(run: TutorialRun, batches: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> float:
    """Seconds of the same number of updates on ready tensors."""
    run.network.train()
    started = time.perf_counter()
    for batch in batches:
        train_step(run, *batch)
    return time.perf_counter() - started


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder of identities: the AT&T faces")
    parser.add_argument("--rounds", type=int, default=5, help="epochs of each kind, in turn")


def run(options: argparse.Namespace) -> None:
    dataset = load(PeopleFolder(options.data), WholePicture(TUTORIAL_CROP), min_pictures=2)
    recipe = TutorialRecipe()
    split = split_pairs(dataset, recipe)
    pixels = torch.from_numpy(dataset.crops)
    batches = [
        (
            pixels[split.training.first[rows]],
            pixels[split.training.second[rows]],
            torch.from_numpy(split.training.genuine[rows]),
        )
        for rows in np.array_split(np.arange(len(split.training)), -(-len(split.training) // recipe.batch_pairs))
    ]
    whole, bare = TutorialRun(recipe), TutorialRun(recipe)
    epochs = fit(whole, dataset.crops, split)
    ratios, speeds = [], []
    for round_number in range(1, options.rounds + 1):
        bare_seconds = bare_epoch(bare, batches)
        started = time.perf_counter()
        next(epochs)
        seconds = time.perf_counter() - started
        ratios.append(bare_seconds / seconds)
        speeds.append(len(split.training) / seconds)
        print(f"round {round_number}: {speeds[-1]:.0f} pairs a second, ratio to the bare loop {ratios[-1]:.2f}")
    print(
        f"training, validation included: {np.median(speeds):.0f} pairs a second; "
        f"ratio to a bare loop of updates {np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )
