"""Trains the siamese network of the tutorial: a generator of epoch reports that prints and writes nothing."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.data.dataset import Dataset
from model.data.pairs import Pairs, tutorial_pairs
from model.data.splits import PairSplit, part_pairs
from model.embedding.backbones import BACKBONES
from model.faces.face import CropGeometry
from model.training.losses import contrastive
from model.training.run import TrainingRun
from model.training.trainable import Trainable, embed, weights_of

Progress: TypeAlias = Callable[[Iterable[Tensor]], Iterable[Tensor]]
"""Wraps the batches of an epoch to show progress; `iter` shows none."""


@dataclass(frozen=True)
class TutorialRecipe:
    """Everything that decides the weights, besides the data. Defaults are the tutorial's."""

    name: str = "tutorial"
    backbone: str = "tutorial"
    genuine_pairs: int = 10_000
    impostor_pairs: int = 10_000
    test_share: float = 0.25  # of all pairs, by the tutorial's protocol
    validation_share: float = 0.25  # of what is left
    margin: float = 1.0
    learning_rate: float = 1e-3
    batch_pairs: int = 128
    epochs: int = 13
    calibration_people: int = 0  # held out of training, to choose thresholds on
    seed: int = 0


TUTORIAL_CROP = CropGeometry(height=56, width=46, channels=1, subsample=2)


def split_pairs(dataset: Dataset, recipe: TutorialRecipe) -> PairSplit:
    """The recipe's pairs, shuffled and parted. Raises DataError where there are too few people or pictures."""
    rng = np.random.default_rng(recipe.seed)
    pairs = tutorial_pairs(dataset.labels, recipe.genuine_pairs, recipe.impostor_pairs, rng)
    return part_pairs(pairs, recipe.test_share, recipe.validation_share, rng)


@dataclass(frozen=True)
class EpochReport:
    epoch: int
    loss: float  # mean over the epoch's pairs, with dropout
    validation_loss: float  # after the epoch, without dropout


class TutorialRun(TrainingRun[TutorialRecipe, EpochReport]):
    """A run that starts from random weights."""

    def __init__(self, recipe: TutorialRecipe) -> None:
        network = Trainable(BACKBONES[recipe.backbone], initial_weights(recipe.seed))
        # Keras's RMSprop, whose defaults differ from PyTorch's.
        optimizer = torch.optim.RMSprop(network.parameters(), lr=recipe.learning_rate, alpha=0.9, eps=1e-7)
        super().__init__(recipe, network, optimizer, EpochReport)


def initial_weights(seed: int) -> dict[str, NDArray[np.float32]]:
    """As Keras begins (Glorot uniform, zero biases): with PyTorch's own weights the embeddings start so close
    together that training lags.
    """
    torch.manual_seed(seed)
    layers: dict[str, nn.Module] = {
        "layers.0": nn.Conv2d(1, 6, 3), "layers.4": nn.Conv2d(6, 12, 3),
        "layers.9": nn.Linear(12 * 12 * 10, 128), "layers.12": nn.Linear(128, 50),
    }  # fmt: skip
    for layer in layers.values():
        for values in layer.parameters():
            (nn.init.xavier_uniform_ if values.dim() > 1 else nn.init.zeros_)(values)
    return {f"{name}.{part}": array for name, layer in layers.items() for part, array in weights_of(layer).items()}


def fit(
    run: TutorialRun, crops: NDArray[np.uint8], split: PairSplit, progress: Progress = iter
) -> Iterator[EpochReport]:
    """Trains the epochs that the run still lacks; yields after each. Deterministic, resumed or not."""
    pixels = torch.from_numpy(crops)
    for epoch in range(len(run.reports) + 1, run.recipe.epochs + 1):
        loss = _train_epoch(run, epoch, pixels, split.training, progress)
        report = EpochReport(epoch, loss, _validation_loss(run, crops, split.validation))
        run.reports.append(report)
        yield report


def _train_epoch(run: TutorialRun, epoch: int, pixels: Tensor, pairs: Pairs, progress: Progress) -> float:
    # Seeded by epoch, so that shuffling and dropout are the same in a resumed run.
    torch.manual_seed(int(np.random.SeedSequence([run.recipe.seed, epoch]).generate_state(1)[0]))
    first, second = torch.from_numpy(pairs.first), torch.from_numpy(pairs.second)
    genuine = torch.from_numpy(pairs.genuine)
    run.network.train()
    total = 0.0
    for batch in progress(torch.randperm(len(pairs)).split(run.recipe.batch_pairs)):
        loss = train_step(run, pixels[first[batch]], pixels[second[batch]], genuine[batch])
        total += loss.item() * len(batch)
    return total / len(pairs)


def train_step(run: TutorialRun, first: Tensor, second: Tensor, genuine: Tensor) -> Tensor:
    """One update from uint8 crops (N, channels, height, width) of both towers; returns the loss before it.

    The towers share one set of weights and one forward pass, but not their dropout.
    """
    embeddings = run.network(torch.cat([first, second]))
    first_embeddings, second_embeddings = embeddings.chunk(2)
    loss = contrastive(first_embeddings, second_embeddings, genuine, run.recipe.margin)
    run.optimizer.zero_grad()
    loss.backward()
    run.optimizer.step()
    return loss.detach()


def _validation_loss(run: TutorialRun, crops: NDArray[np.uint8], pairs: Pairs) -> float:
    embeddings = torch.from_numpy(embed(run.network, crops))
    genuine = torch.from_numpy(pairs.genuine)
    return contrastive(embeddings[pairs.first], embeddings[pairs.second], genuine, run.recipe.margin).item()
