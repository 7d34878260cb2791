"""No split puts a person, or the tutorial's a pair, into two parts, whatever the numbers."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from model.data.pairs import Pairs
from model.data.people import DataError
from model.data.splits import (
    PeopleSplit,
    finetuning_split,
    folds,
    halves,
    hold_out,
    part_pairs,
    transfer_split,
    without_test_people,
)

people = st.integers(4, 60)
seeds = st.integers(0, 2**32 - 1)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def are_parts(parts: Sequence[Sequence[Any]], whole: Sequence[Any]) -> bool:
    return sorted(person for part in parts for person in part) == sorted(whole)


@given(people, st.integers(0, 60), seeds)
def test_held_out_people_are_in_one_part_only(people: int, held_out: int, seed: int) -> None:
    if min(held_out, people - held_out) < 2:
        with pytest.raises(DataError, match=f"cannot hold out {held_out} of {people} people"):
            hold_out(people, held_out, rng(seed))
        return
    training, measured = hold_out(people, held_out, rng(seed))
    assert are_parts([training.tolist(), measured.tolist()], range(people))
    assert len(measured) == held_out


@given(people, seeds)
def test_halves_are_of_other_people(people: int, seed: int) -> None:
    first, second = halves(people, rng(seed))
    assert are_parts([first.tolist(), second.tolist()], range(people))
    assert 0 <= len(second) - len(first) <= 1


@given(people, st.integers(0, 12), seeds)
def test_folds_measure_everyone_once_and_never_on_the_trained(people: int, count: int, seed: int) -> None:
    if not 2 <= count <= people // 2:
        with pytest.raises(DataError, match=f"cannot make {count} folds of {people} people"):
            folds(people, count, rng(seed))
        return
    found = folds(people, count, rng(seed))
    assert are_parts([measured.tolist() for _, measured in found], range(people))
    assert all(are_parts([trained.tolist(), measured.tolist()], range(people)) for trained, measured in found)


def folder_of(pictures: Sequence[int], seen: int) -> Any:
    """A folder of p0, p1 ... with so many pictures each, of whom the first `seen` are known."""
    files = {f"p{number}": list(range(count)) for number, count in enumerate(pictures)}
    return SimpleNamespace(path="people", files=files, known_to=lambda _: {f"p{number}" for number in range(seen)})


@pytest.mark.parametrize("split", [transfer_split, finetuning_split])
@given(st.lists(st.integers(1, 3), min_size=6, max_size=40), st.data(), seeds)
def test_trained_calibrating_and_measured_people_are_others(
    split: Any, pictures: list[int], data: st.DataObject, seed: int
) -> None:
    seen = data.draw(st.integers(0, len(pictures)))
    calibration, test = (data.draw(st.integers(1, 10)) for _ in range(2))
    folder = folder_of(pictures, seen)
    try:
        parts: PeopleSplit = split(folder, frozenset(), calibration, test, rng(seed))
    except DataError:
        free = sum(count > 1 for count in pictures[seen:])
        assume(free < calibration + test + 2)  # else the split has no reason to refuse
        return
    assert are_parts([parts.training, parts.calibration, parts.test], list(folder.files))
    assert (len(parts.calibration), len(parts.test)) == (calibration, test)
    assert len(parts.training) > 0
    known = folder.known_to(None)
    assert not known & {*parts.calibration, *parts.test}
    assert all(len(folder.files[name]) > 1 for name in parts.test)


def test_fine_tuning_takes_a_third_for_each_part() -> None:
    parts = finetuning_split(folder_of([2] * 30, seen=5), frozenset(), 0, 0, rng(0))
    assert [len(part) for part in (parts.training, parts.calibration, parts.test)] == [10, 10, 10]


@given(st.integers(1, 300), st.floats(0, 0.9), st.floats(0, 0.9), seeds)
def test_each_pair_is_in_one_part_only(count: int, test: float, validation: float, seed: int) -> None:
    numbers = np.arange(count)
    parts = part_pairs(Pairs(numbers, numbers + 1, numbers % 2 == 0), test, validation, rng(seed))
    assert are_parts([part.first.tolist() for part in (parts.training, parts.validation, parts.test)], range(count))
    assert len(parts.test) == round(count * test)
    for part in (parts.training, parts.validation, parts.test):
        np.testing.assert_array_equal(part.second, part.first + 1)
        np.testing.assert_array_equal(part.genuine, part.first % 2 == 0)


@given(st.lists(st.integers(1, 3), min_size=4, max_size=30), st.integers(1, 30), seeds)
def test_people_kept_for_measuring_are_those_that_transfer_would_keep(
    pictures: Sequence[int], test: int, seed: int
) -> None:
    folder, several = folder_of(pictures, seen=0), sum(count > 1 for count in pictures)
    if several <= test:
        with pytest.raises(DataError, match=f"cannot hold out {test} of {several} people"):
            without_test_people(folder, folder.files, test, rng(seed))
        return
    kept = without_test_people(folder, folder.files, test, rng(seed))
    measured = folder.files.keys() - kept
    assert len(measured) == test
    assert all(len(folder.files[name]) > 1 for name in measured)
    if len(pictures) > test + 2:
        assert sorted(measured) == transfer_split(folder, [], 1, test, rng(seed)).test
