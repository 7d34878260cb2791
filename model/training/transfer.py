"""Siamese training of a network that is good already: a generator of reports that prints and writes nothing.

One view of a face, as bad as uploads are, is taught to say what the starting network says on average of many good
views of it (self-distillation: what Hinton et al., 2015, do between networks, here within one), while pictures of one
person are pulled together and strangers pushed apart. The first keeps the start's geometry, which few people could not
teach again; the average is more accurate than any one view, and serving gets it at the price of one.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.data.dataset import Indices
from model.embedding.backbones import weights_of
from model.training.augmentation import augmented, view
from model.training.losses import contrastive_of_all

Track: TypeAlias = Callable[[Iterable[Any]], Iterable[Any]]
"""Wraps steps to show progress; `iter` shows none."""

_ZOOMS = (0.92, 1.0, 1.08)
_STEPS_A_ROUND = 100


@dataclass(frozen=True)
class TransferRecipe:
    """Everything that decides the weights, besides the start and the data."""

    name: str = "transfer"
    backbone: str = "resnet29"
    rounds: int = 24  # of 100 steps each
    pairs_of_pictures: int = 16  # of one person each, in a step
    single_pictures: int = 32  # of anybody, in a step
    learning_rate: float = 1e-4
    pairs_weight: float = 0.2  # of the contrastive loss against the distance to the targets
    margin: float = 0.45  # of strangers; at FMR 1e-3 the start's threshold is 0.36
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
class Lessons:
    """What is taught: wide crops (N, 3, h, w), the targets (N, embedding_size) and the people (N,) of pictures."""

    wide: NDArray[np.uint8]
    targets: NDArray[np.float32]
    labels: Indices


def targets(network: nn.Module, wide: NDArray[np.uint8], track: Track = iter, batch: int = 64) -> NDArray[np.float32]:
    """What the network says on average of six views of each picture: float32 (N, embedding_size), unit length."""
    network.eval()
    found = []
    with torch.inference_mode():
        for start in track(range(0, len(wide), batch)):
            part = wide[start : start + batch]
            views = [network(view(part, zoom, mirrored)) for zoom in _ZOOMS for mirrored in (False, True)]
            found.append(nn.functional.normalize(torch.stack(views).sum(dim=0)))
    return torch.cat(found).numpy()


class TransferRun:
    """A training run between two rounds: all that must survive for it to go on to the same result."""

    def __init__(self, recipe: TransferRecipe, start: nn.Module) -> None:
        self.recipe = recipe
        self.start = weights_of(start)
        self.network = copy.deepcopy(start)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=recipe.learning_rate)
        self.reports: list[RoundReport] = []

    def state(self) -> dict[str, Any]:
        """Plain values and tensors only, so that it can be read back without running any code."""
        return {
            "recipe": asdict(self.recipe),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "reports": [asdict(report) for report in self.reports],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from `state`. Raises ValueError where it belongs to another recipe."""
        if state["recipe"] != asdict(self.recipe):
            raise ValueError("the checkpoint was made with another recipe")
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.reports = [RoundReport(**report) for report in state["reports"]]

    def mixed(self) -> dict[str, Tensor]:
        """The weights between the start's and the trained ones that the recipe's `mix` names.

        Wortsman et al., "Robust fine-tuning of zero-shot models" (2022).
        """
        trained = weights_of(self.network)
        return {name: torch.lerp(old, trained[name], self.recipe.mix) for name, old in self.start.items()}


def fit(run: TransferRun, lessons: Lessons, track: Track = iter) -> Iterator[RoundReport]:
    """Trains the rounds that the run still lacks; yields after each. Deterministic, resumed or not."""
    for number in range(len(run.reports) + 1, run.recipe.rounds + 1):
        rng = np.random.default_rng([run.recipe.seed, number])
        first = (number - 1) * _STEPS_A_ROUND
        losses = [_step(run, lessons, first + step, rng) for step in track(range(_STEPS_A_ROUND))]
        report = RoundReport(number, *np.mean(losses, axis=0).tolist())
        run.reports.append(report)
        yield report


def _step(run: TransferRun, lessons: Lessons, step: int, rng: np.random.Generator) -> tuple[float, float]:
    recipe = run.recipe
    chosen = _chosen(lessons.labels, recipe, rng)
    wanted = torch.from_numpy(lessons.targets[chosen])
    run.network.train()
    embeddings = run.network(augmented(lessons.wide[chosen], rng))
    to_target = (embeddings - wanted).square().sum(dim=1).mean()
    pairs = contrastive_of_all(embeddings, wanted, torch.from_numpy(lessons.labels[chosen]), recipe.margin)
    run.optimizer.zero_grad()
    (to_target + recipe.pairs_weight * pairs).backward()
    for group in run.optimizer.param_groups:
        group["lr"] = recipe.learning_rate * _schedule(step, recipe.rounds * _STEPS_A_ROUND)
    run.optimizer.step()
    return to_target.item(), pairs.item()


def _chosen(labels: Indices, recipe: TransferRecipe, rng: np.random.Generator) -> Indices:
    """Some people with two pictures each, and single pictures of anybody."""
    first = np.flatnonzero(np.r_[labels[1:] == labels[:-1], False])  # labels ascend: the next is of the same person
    pairs = rng.choice(first, recipe.pairs_of_pictures, replace=False)
    return np.concatenate([pairs, pairs + 1, rng.choice(len(labels), recipe.single_pictures, replace=False)])


def _schedule(step: int, steps: int, warm_up: int = 50) -> float:
    """Up to 1 in the first steps, down to 0 along a half cosine."""
    return float(min(1, (step + 1) / warm_up) * 0.5 * (1 + np.cos(np.pi * step / steps)))
