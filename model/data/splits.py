"""Splits people into those who train, choose thresholds or are measured; and, as the tutorial does, pairs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from model.data.dataset import Indices
from model.data.pairs import Pairs
from model.data.people import DataError, PeopleFolder


@dataclass(frozen=True)
class PeopleSplit:
    """Names of people, each in one part: some train, some choose thresholds, some are only measured."""

    training: Sequence[str]
    calibration: Sequence[str]
    test: Sequence[str]


@dataclass(frozen=True)
class PairSplit:
    """The tutorial's protocol: pairs, not people, are parted; people of the test pairs were seen in training."""

    training: Pairs
    validation: Pairs
    test: Pairs


def hold_out(people: int, held_out: int, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """Indices of `people - held_out` people to train on and of `held_out` others, each ascending.

    Raises DataError where either side would have fewer than two.
    """
    if min(held_out, people - held_out) < 2:
        raise DataError(f"cannot hold out {held_out} of {people} people: two are needed on either side")
    shuffled = rng.permutation(people)
    return np.sort(shuffled[held_out:]), np.sort(shuffled[:held_out])


def halves(people: int, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """Indices of one half of the people and of the other, shuffled; of an odd number, the second half has one more."""
    shuffled = rng.permutation(people)
    return shuffled[: people // 2], shuffled[people // 2 :]


def folds(people: int, count: int, rng: np.random.Generator) -> list[tuple[Indices, Indices]]:
    """`count` ways to part people into those to train on and those to measure on; each is measured on once."""
    if not 2 <= count <= people // 2:
        raise DataError(f"cannot make {count} folds of {people} people: two or more people a fold are needed")
    parts = np.array_split(rng.permutation(people), count)
    return [(np.setdiff1d(np.arange(people), part), np.sort(part)) for part in parts]


def transfer_split(
    folder: PeopleFolder, seen: Collection[str], calibration: int, test: int, rng: np.random.Generator
) -> PeopleSplit:
    """Draws `test` people with two pictures or more, then `calibration` people; everybody else trains.

    Whom a start with the digests `seen` knows can only train. Raises DataError where too few others are left.
    """
    known = folder.known_to(seen)
    free = [name for name in folder.files if name not in known]
    test_people = _draw([name for name in free if len(folder.files[name]) > 1], test, rng)
    calibration_people = _draw([name for name in free if name not in test_people], calibration, rng)
    held_out = test_people | calibration_people
    training = [name for name in folder.files if name not in held_out]
    return PeopleSplit(training, sorted(calibration_people), sorted(test_people))


def without_test_people(folder: PeopleFolder, names: Collection[str], test: int, rng: np.random.Generator) -> list[str]:
    """These names but for `test` of those with two pictures or more, drawn to be only measured.

    Of everybody's names, the ones that `transfer_split` draws. Raises DataError where there are too few.
    """
    test_people = _draw([name for name in names if len(folder.files[name]) > 1], test, rng)
    return [name for name in names if name not in test_people]


def finetuning_split(
    folder: PeopleFolder, seen: Collection[str], calibration: int, test: int, rng: np.random.Generator
) -> PeopleSplit:
    """Draws `calibration` and `test` people, a third each where 0 is asked for; everybody else trains.

    Those drawn have two pictures or more and are unknown to a start with the digests `seen`. Raises DataError where
    too few are left.
    """
    several = [name for name, files in folder.files.items() if len(files) > 1]
    calibration, test = (count or len(several) // 3 for count in (calibration, test))
    known = folder.known_to(seen)
    free = [name for name in several if name not in known]
    if len(several) - calibration - test < 2 or len(free) < calibration + test:
        raise DataError(
            f"{folder.path}: {len(several)} people have two pictures or more, {len(free)} of them not seen by the "
            f"start; {calibration} to choose thresholds, {test} to measure and two to train are too many"
        )
    order = rng.permutation(free).tolist()[: calibration + test]
    held_out = {*order}
    training = [name for name in folder.files if name not in held_out]
    return PeopleSplit(training, order[:calibration], order[calibration:])


def part_pairs(pairs: Pairs, test: float, validation: float, rng: np.random.Generator) -> PairSplit:
    """Shuffles pairs and parts them: the share `test` of all, the share `validation` of what is left, the rest."""
    shuffled = pairs[rng.permutation(len(pairs))]
    first = round(len(pairs) * test)
    second = first + round((len(pairs) - first) * validation)
    return PairSplit(shuffled[second:], shuffled[first:second], shuffled[:first])


def _draw(names: list[str], count: int, rng: np.random.Generator) -> set[str]:
    if len(names) <= count:
        raise DataError(f"cannot hold out {count} of {len(names)} people whom the start has not seen")
    return set(rng.choice(names, count, replace=False).tolist())
