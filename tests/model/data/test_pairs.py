import numpy as np
import pytest

from model.data.pairs import all_pairs, tutorial_pairs
from model.data.people import DataError

FORTY_BY_TEN = np.repeat(np.arange(40), 10)


def test_the_tutorials_pairs_are_built_its_way() -> None:
    pairs = tutorial_pairs(FORTY_BY_TEN, 10_000, 10_000, np.random.default_rng(0))
    first, second = FORTY_BY_TEN[pairs.first], FORTY_BY_TEN[pairs.second]
    genuine = pairs.genuine
    assert len(pairs) == 20_000
    assert genuine.tolist() == [True] * 10_000 + [False] * 10_000
    assert (first[genuine] == second[genuine]).all()
    assert (pairs.first[genuine] != pairs.second[genuine]).all()
    assert np.bincount(first[genuine]).tolist() == [250] * 40
    assert (first[~genuine] != second[~genuine]).all()
    assert (pairs.first[~genuine] % 10 == pairs.second[~genuine] % 10).all()
    draws = np.stack([first[~genuine], second[~genuine]], axis=1).reshape(1000, 10, 2)
    assert (draws == draws[:, :1]).all()
    assert len(np.unique(draws[:, 0], axis=0)) > 700  # of 1,560 ordered pairs of people


def test_every_picture_and_partner_is_drawn() -> None:
    pairs = tutorial_pairs(np.repeat([0, 1], 3), 600, 6, np.random.default_rng(0))
    seen = set(zip(pairs.first[:600].tolist(), pairs.second[:600].tolist(), strict=True))
    assert seen == {
        (i, j) for person in (0, 3) for i in range(person, person + 3) for j in range(person, person + 3) if i != j
    }


def test_people_may_have_different_numbers_of_pictures() -> None:
    labels = np.repeat([0, 1, 2], [2, 5, 3])
    pairs = tutorial_pairs(labels, 10, 11, np.random.default_rng(0))
    assert np.bincount(labels[pairs.first[:10]]).tolist() == [4, 3, 3]
    number = pairs.first - np.array([0, 2, 7])[labels[pairs.first]]
    other = pairs.second - np.array([0, 2, 7])[labels[pairs.second]]
    assert (number[10:] == other[10:]).all()
    assert len(pairs) == 21


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 0, 1]])
def test_too_little_data_is_a_clear_error(labels: list[int]) -> None:
    with pytest.raises(DataError, match="two people or more"):
        tutorial_pairs(np.array(labels), 10, 10, np.random.default_rng(0))


def test_all_pairs_are_all_there_are() -> None:
    labels = np.array([0, 0, 1, 2, 2])
    pairs = all_pairs(labels)
    expected = [(i, j, labels[i] == labels[j]) for i in range(5) for j in range(i + 1, 5)]
    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), pairs.genuine.tolist(), strict=True)) == expected
