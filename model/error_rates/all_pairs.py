"""Counts all pairs of very many embeddings at given thresholds, exactly and in bounded memory. It keeps no pair."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.data.dataset import Indices
from model.embedding.embedder import distances
from model.error_rates.intervals import RESAMPLES, effective_number, pairs_of, rate_interval
from model.error_rates.scores import Floats

_BLOCK = 4096
_ROUNDING = 1e-5
"""Of a squared distance by matrix product in float32, as a share of the largest squared length: ten times the worst."""


@dataclass(frozen=True)
class PairCounts:
    """Pairs by person: `pairs` (2, people) and `accepted` (2, people, thresholds), impostor pairs first, then genuine.

    An impostor pair is counted at both of its people.
    """

    thresholds: Floats
    pairs: Floats
    accepted: Floats

    @property
    def impostor_pairs(self) -> int:
        return int(self.pairs[0].sum()) // 2

    @property
    def genuine_pairs(self) -> int:
        return int(self.pairs[1].sum())

    def accepted_share(self, genuine: int) -> Floats:
        """The share of impostor (0) or genuine (1) pairs accepted, (thresholds,)."""
        share: Floats = self.accepted[genuine].sum(axis=0) / self.pairs[genuine].sum()
        return share

    def ci95(self, genuine: int, index: int, seed: int = 0) -> tuple[float, float]:
        """The 95 % interval of an accepted share, as `rate_interval` computes it.

        The bootstrap is of the share's linear part (Hajek projection): what each person adds to it, drawn anew.
        """
        accepted, pairs = self.accepted[genuine, :, index], self.pairs[genuine]
        counted_at = 1 if genuine else 2
        share, people = accepted.sum() / pairs.sum(), len(pairs)
        adds = (accepted - share * pairs) * counted_at / pairs.sum()
        rng = np.random.default_rng(seed)
        drawn = [adds[rng.integers(people, size=people)].sum() for _ in range(RESAMPLES)]
        errors, trials, number = (
            int(accepted.sum()) // counted_at,
            int(pairs.sum()) // counted_at,
            effective_number(pairs),
        )
        independent = number if genuine else pairs_of(number)
        return rate_interval(errors, trials, share + np.array(drawn), pairs, independent)


def count(
    embeddings: NDArray[np.float32],
    labels: Indices,
    thresholds: Floats,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> PairCounts:
    """Embeddings (N, embedding_size), labels (N,) from 0 on, thresholds rising. Time grows with N squared.

    A pair is accepted where `distances` says at most the threshold: matrix products in float32 decide what lies clear
    of every threshold, the rest is computed as `distances` does.
    """
    people, steps = int(labels.max()) + 1, len(thresholds)
    counted = np.zeros((2, people, steps + 1))
    points, people_of = torch.from_numpy(np.ascontiguousarray(embeddings)), torch.from_numpy(labels)
    lengths = (points * points).sum(dim=1)
    squares = torch.from_numpy(thresholds.astype(np.float32) ** 2)
    slack = _ROUNDING * float(lengths.max())
    for start in progress(range(0, len(points), _BLOCK)):
        for other in range(start, len(points), _BLOCK):
            near = _near(points, lengths, start, other, float(squares[-1]) + slack)
            first, second, squared = near
            number = torch.bucketize(squared, squares - slack).numpy()
            unsure = np.flatnonzero(number != torch.bucketize(squared, squares + slack).numpy())
            exact = distances(embeddings[first.numpy()[unsure]], embeddings[second.numpy()[unsure]])
            number[unsure] = np.searchsorted(thresholds, exact)
            one, two = people_of[first].numpy(), people_of[second].numpy()
            same = one == two
            for kind, person, chosen in ((1, one, same), (0, one, ~same), (0, two, ~same)):
                cells = person[chosen] * (steps + 1) + number[chosen]
                counted[kind] += np.bincount(cells, minlength=people * (steps + 1)).reshape(people, steps + 1)
    return PairCounts(thresholds, _pairs(labels, people), counted[..., :-1].cumsum(axis=-1))


def _near(points: Tensor, lengths: Tensor, start: int, other: int, limit: float) -> tuple[Tensor, Tensor, Tensor]:
    """Row numbers and squared distances of the pairs of two blocks that may be accepted at some threshold."""
    rows, columns = points[start : start + _BLOCK], points[other : other + _BLOCK]
    squared = torch.addmm(lengths[other : other + _BLOCK], rows, columns.T, alpha=-2)
    squared += lengths[start : start + _BLOCK, None]
    near = squared <= limit
    if start == other:
        near = near.triu(diagonal=1)
    first, second = near.nonzero(as_tuple=True)
    return first + start, second + other, squared[first, second]


def _pairs(labels: Indices, people: int) -> Floats:
    pictures = np.bincount(labels, minlength=people).astype(np.float64)
    return np.stack([pictures * (pictures.sum() - pictures), pictures * (pictures - 1) / 2])
