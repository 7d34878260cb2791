"""Searches in galleries of calibration people, against searches made one by one."""

from dataclasses import replace

import numpy as np
import pytest
from makers import EMBEDDED_PEOPLE as PEOPLE
from makers import embedded_people as people

from model.embedding.embedder import distances
from model.evaluation.identification import Searches, identification_of, margin_of, search
from model.manifest import RatePoint, SearchTail


@pytest.mark.parametrize(("size", "photos"), [(20, 1), (20, 3), (PEOPLE, 1), (PEOPLE, 3)])
def test_each_search_is_of_one_person_among_others(size: int, photos: int) -> None:
    embeddings, labels = people()
    searches = search(embeddings, labels, size, photos)
    with_photos = PEOPLE - 10 if photos > 1 else PEOPLE
    assert searches.people == min(size, with_photos, PEOPLE - 1)
    for gallery in range(3):
        here = searches.gallery == gallery
        mated, strangers = here & searches.mated, here & ~searches.mated
        assert len(set(searches.person[mated].tolist())) == np.count_nonzero(mated)
        assert np.all(searches.person[mated] < PEOPLE - 10)
        if size < PEOPLE:
            assert np.count_nonzero(strangers) == PEOPLE - size
            assert not {*searches.person[mated].tolist()} & {*searches.person[strangers].tolist()}
        assert np.all(np.isfinite(searches.other[here]))


def test_among_all_the_nearest_other_person_is_found() -> None:
    embeddings, labels = people()
    one_each = np.flatnonzero(np.append(True, np.diff(labels) > 0))
    searches = search(embeddings[one_each], np.arange(PEOPLE), PEOPLE, 1)
    expected = [
        min(float(distances(embeddings[one_each[i]], embeddings[one_each[j]])) for j in range(PEOPLE) if j != i)
        for i in range(PEOPLE)
    ]
    first = searches.gallery == 0
    found = dict(zip(searches.person[first].tolist(), searches.other[first].tolist(), strict=True))
    assert [found[person] for person in range(PEOPLE)] == pytest.approx(expected, abs=1e-5)
    assert not searches.mated.any()


def test_more_photos_bring_the_own_person_nearer() -> None:
    embeddings, labels = people()
    one, three = (search(embeddings, labels, PEOPLE, photos) for photos in (1, 3))
    assert three.own[three.mated].mean() < one.own[one.mated].mean()


def test_shares_rise_with_the_distance_and_lie_in_their_intervals() -> None:
    embeddings, labels = people()
    measured = identification_of(embeddings, labels, sizes=(20, 50))
    assert measured is not None
    assert [(tail.people, tail.photos) for tail in measured.nonmated] == [(20, 1), (PEOPLE - 1, 1)]
    assert [(tail.people, tail.photos) for tail in measured.mated] == [(PEOPLE - 1, 1), (PEOPLE - 10, 3)]
    for tail in (*measured.nonmated, *measured.mated):
        distance, rate = [p.distance for p in tail.points], [p.rate for p in tail.points]
        assert distance == sorted(distance)
        assert rate == sorted(rate)
        assert rate[-1] == 1
        assert all(point.ci95[0] <= point.rate <= point.ci95[1] for point in tail.points)
    small, large = measured.nonmated
    at = small.points[len(small.points) // 2].distance
    assert max(p.rate for p in large.points if p.distance <= at) > max(p.rate for p in small.points if p.distance <= at)


@pytest.mark.parametrize(("mistaken", "expected"), [(0, 0.025), (1, 0.025), (10, 0.2)])
def test_the_margin_leaves_few_wrong_names(mistaken: int, expected: float) -> None:
    own, other = np.full(1000, 0.1), np.full(1000, 0.4)
    own[:mistaken] = 0.6  # the other is under the threshold, and nearer by 0.2
    own[500:600], other[500:600] = 0.9, 0.7  # nearer by 0.2 as well, but over the threshold
    second = np.full(1000, 0.9)
    nobody = np.zeros(1000, np.int64)
    points = (RatePoint(0.5, 0.01, (0, 0.1)), RatePoint(0.6, 0.02, (0, 0.1)))
    searches = Searches(100, 1, np.arange(1000), nobody, own, other, second)
    assert margin_of(searches, SearchTail(100, 1, 1000, 1000, points)) == pytest.approx(expected, abs=1e-6)
    strangers = replace(searches, own=np.full(1000, np.inf))
    assert margin_of(strangers, SearchTail(100, 1, 1000, 1000, points)) == 0.025


def test_too_few_people_are_not_measured() -> None:
    embeddings, labels = people()
    few = labels < 30
    assert identification_of(embeddings[few], labels[few]) is None
