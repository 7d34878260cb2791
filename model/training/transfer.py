"""Trains a good network further: a generator of reports that prints and writes nothing.

The network learns to embed one degraded view of a face as the starting network embeds many good views of it on average
(self-distillation: what Hinton et al., 2015, do between networks, here within one). At the same time pictures of one
person are pulled together and strangers are pushed apart. The target keeps the start's geometry, which few people could
not teach again. The average is more accurate than any one view, and serving pays for one view only.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.data.dataset import Indices
from model.training.augmentation import augmented, view
from model.training.losses import contrastive_of_all
from model.training.run import TrainingRun
from model.training.trainable import weights_of

Progress: TypeAlias = Callable[[Iterable[Any]], Iterable[Any]]
"""Wraps steps to show progress; `iter` shows none."""

_ZOOMS = (0.92, 1.0, 1.08)


@dataclass(frozen=True)
class TransferRecipe:
    """Everything that decides the weights, besides the start and the data."""

    name: str = "transfer"
    backbone: str = "sface"
    rounds: int = 24
    steps: int = 100  # in a round
    pairs_of_pictures: int = 16  # of one person each, in a step
    single_pictures: int = 32  # of anybody, in a step
    learning_rate: float = 1e-4
    pairs_weight: float = 0.2  # of the contrastive loss against the distance to the targets
    near: float = 0.6  # pairs of one person this close have nothing to learn
    margin: float = 1.2  # of strangers; at FMR 1e-3 the start's threshold is about 1.1
    doubt: float = 1.3  # pairs of one person farther apart than this by the targets are taken for wrong labels
    mix: float = 1.0  # share of the trained weights in the result; the rest is the start's
    calibration_people: int = 800  # held out of training, to choose thresholds on
    test_people: int = 300  # with two pictures or more, held out of everything
    seed: int = 0


@dataclass(frozen=True)
class RoundReport:
    round: int
    to_target: float  # mean squared distance of an augmented view from its target
    pairs_loss: float


@dataclass(frozen=True)
class DistillationData:
    """Wide crops (N, 3, h, w), the embeddings that they are to have (N, embedding_size), and their people (N,)."""

    wide_crops: NDArray[np.uint8]
    targets: NDArray[np.float32]
    labels: Indices


def targets(
    network: nn.Module, wide: NDArray[np.uint8], progress: Progress = iter, batch: int = 64
) -> NDArray[np.float32]:
    """The mean embedding of six views of each picture: float32 (N, embedding_size), unit length."""
    network.eval()
    embeddings = []
    with torch.inference_mode():
        for start in progress(range(0, len(wide), batch)):
            part = wide[start : start + batch]
            views = [network(view(part, zoom, mirrored)) for zoom in _ZOOMS for mirrored in (False, True)]
            embeddings.append(nn.functional.normalize(torch.stack(views).sum(dim=0)))
    return torch.cat(embeddings).numpy()


class TransferRun(TrainingRun[TransferRecipe, RoundReport]):
    """A run that starts from the weights of a good network, and leaves that network alone."""

    def __init__(self, recipe: TransferRecipe, start: nn.Module) -> None:
        self.start = weights_of(start)
        network = copy.deepcopy(start)
        optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
        super().__init__(recipe, network, optimizer, RoundReport)

    def interpolated_weights(self) -> dict[str, NDArray[np.float32]]:
        """The weights between the start's and the trained ones that the recipe's `mix` names.

        Wortsman et al., "Robust fine-tuning of zero-shot models" (2022).
        """
        trained = weights_of(self.network)
        new, old = self.recipe.mix, 1 - self.recipe.mix
        return {name: new * array + old * self.start[name] for name, array in trained.items()}


def fit(run: TransferRun, data: DistillationData, progress: Progress = iter) -> Iterator[RoundReport]:
    """Trains the rounds that the run still lacks; yields after each. Deterministic, resumed or not."""
    for number in range(len(run.reports) + 1, run.recipe.rounds + 1):
        rng = np.random.default_rng([run.recipe.seed, number])
        first = (number - 1) * run.recipe.steps
        losses = [_step(run, data, first + step, rng) for step in progress(range(run.recipe.steps))]
        report = RoundReport(number, *np.mean(losses, axis=0).tolist())
        run.reports.append(report)
        yield report


def _step(run: TransferRun, data: DistillationData, step: int, rng: np.random.Generator) -> tuple[float, float]:
    recipe = run.recipe
    chosen = _chosen(data.labels, recipe, rng)
    wanted = torch.from_numpy(data.targets[chosen])
    run.network.train()
    embeddings = run.network(augmented(data.wide_crops[chosen], rng))
    to_target = (embeddings - wanted).square().sum(dim=1).mean()
    labels = torch.from_numpy(data.labels[chosen])
    pairs = contrastive_of_all(embeddings, wanted, labels, recipe.margin, recipe.near, recipe.doubt)
    run.optimizer.zero_grad()
    (to_target + recipe.pairs_weight * pairs).backward()
    for group in run.optimizer.param_groups:
        group["lr"] = recipe.learning_rate * _schedule(step, recipe.rounds * recipe.steps)
    run.optimizer.step()
    return to_target.item(), pairs.item()


def _chosen(labels: Indices, recipe: TransferRecipe, rng: np.random.Generator) -> Indices:
    """Some people with two pictures each, and single pictures of anybody."""
    first = np.flatnonzero(np.r_[labels[1:] == labels[:-1], False])  # labels ascend: the next is of the same person
    pairs = rng.choice(first, recipe.pairs_of_pictures, replace=False)
    return np.concatenate([pairs, pairs + 1, rng.choice(len(labels), recipe.single_pictures, replace=False)])


def _schedule(step: int, steps: int, warm_up: int = 50) -> float:
    """Rises to 1 in the first steps, then falls to 0 along a half cosine."""
    return float(min(1, (step + 1) / warm_up) * 0.5 * (1 + np.cos(np.pi * step / steps)))
