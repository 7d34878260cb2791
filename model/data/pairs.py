"""Chooses which pictures are compared, as pairs of row numbers with their true labels. It knows no pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.dataset import Indices
from model.data.people import DataError


@dataclass(frozen=True)
class Pairs:
    """Rows `first[i]` and `second[i]` of a data set, and whether they show one person. All of shape (pairs,)."""

    first: Indices
    second: Indices
    genuine: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.genuine)

    def __getitem__(self, chosen: slice | Indices) -> "Pairs":
        return Pairs(self.first[chosen], self.second[chosen], self.genuine[chosen])


def all_pairs(labels: Indices) -> Pairs:
    """Pairs every picture with every other picture, once."""
    first, second = np.triu_indices(len(labels), k=1)
    return Pairs(first, second, labels[first] == labels[second])


def tutorial_pairs(labels: Indices, genuine: int, impostor: int, rng: np.random.Generator) -> Pairs:
    """The tutorial's pairs: `genuine` first, then `impostor`; labels ascending, two pictures a person or more.

    Genuine: two different pictures of one person, the same number for each person. Impostor: people are drawn
    two at a time, and their pictures of the same number are paired.
    Raises DataError where there are fewer than two people or a person has one picture.
    """
    counts = np.bincount(labels)
    if len(counts) < 2 or counts.min() < 2:
        raise DataError("training needs two people or more, with two pictures or more each")
    starts = np.cumsum(counts) - counts
    person = np.repeat(np.arange(len(counts)), _shares(genuine, len(counts)))
    one = rng.integers(counts[person])
    other = (one + rng.integers(1, counts[person])) % counts[person]
    same = starts[person] + one, starts[person] + other
    different = _strangers(starts, counts, impostor, rng)
    return Pairs(
        np.concatenate([same[0], different[0]]),
        np.concatenate([same[1], different[1]]),
        np.arange(genuine + impostor) < genuine,
    )


def _strangers(starts: Indices, counts: Indices, wanted: int, rng: np.random.Generator) -> NDArray[np.int64]:
    drawn: list[NDArray[np.int64]] = []
    made = 0
    while made < wanted:
        people = rng.choice(len(counts), size=2, replace=False)
        numbers = np.arange(counts[people].min())
        drawn.append(starts[people][:, np.newaxis] + numbers)
        made += len(numbers)
    return np.concatenate(drawn, axis=1)[:, :wanted]


def _shares(total: int, parts: int) -> Indices:
    """Splits `total` into `parts` whole numbers as evenly as possible: 10,000 over 40 is 250 each."""
    return total // parts + (np.arange(parts) < total % parts).astype(np.int64)
