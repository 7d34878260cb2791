"""Ways to part people, never pictures, into those to learn from and those to measure on."""

import numpy as np

from model.data.dataset import Indices
from model.data.people import DataError


def hold_out(people: int, held_out: int, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """Indices of `people - held_out` people to train on and of `held_out` others, each ascending.

    Raises DataError where either side would have fewer than two.
    """
    if min(held_out, people - held_out) < 2:
        raise DataError(f"cannot hold out {held_out} of {people} people: two are needed on either side")
    shuffled = rng.permutation(people)
    return np.sort(shuffled[held_out:]), np.sort(shuffled[:held_out])


def folds(people: int, count: int, rng: np.random.Generator) -> list[tuple[Indices, Indices]]:
    """`count` ways to part people into those to train on and those to measure on; each is measured on once."""
    if not 2 <= count <= people // 2:
        raise DataError(f"cannot make {count} folds of {people} people: two or more people a fold are needed")
    parts = np.array_split(rng.permutation(people), count)
    return [(np.setdiff1d(np.arange(people), part), np.sort(part)) for part in parts]
