"""The matrix against brute force, over more rows than it works on at a time."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from app.gallery.matrix import Match, Matrix, Vector
from model.embedding.embedder import distances

DIMENSION = 16
NOW = 1000.0


def unit(rng: np.random.Generator, count: int) -> Vector:
    vectors = rng.normal(size=(count, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def add(matrix: Matrix, person_id: str, vectors: Vector, expires: float = np.inf) -> None:
    matrix.add_person(person_id, expires)
    for number, vector in enumerate(vectors):
        matrix.new_row(person_id, f"ph_{number}")[:] = vector.tobytes()
    matrix.fill_rows()


def nearest(people: dict[str, Vector], query: Vector, limit: int) -> Iterator[tuple[str, float, str, int]]:
    """By brute force."""
    best = []
    for person_id, vectors in people.items():
        each = distances(vectors, query)
        best.append((float(each.min()), person_id, f"ph_{each.argmin()}", len(vectors)))
    for distance, person_id, photo_id, photos in sorted(best)[:limit]:
        yield person_id, distance, photo_id, photos


def told(match: Match) -> tuple[str, float, str, int]:
    return match.person_id, match.distance, match.photo_id, match.photos


@pytest.mark.parametrize("most_photos", [1, 2, 20])
@pytest.mark.parametrize("count", [1, 511, 512, 513, 1700])
def test_many_queries_at_once_find_what_brute_force_does(count: int, most_photos: int) -> None:
    rng = np.random.default_rng(count + most_photos)
    people = {f"E{i}": unit(rng, int(rng.integers(1, most_photos + 1))) for i in range(count)}
    matrix = Matrix(DIMENSION)
    over = {person_id for person_id in people if person_id.endswith("7")}
    for person_id, vectors in people.items():
        add(matrix, person_id, vectors, NOW if person_id in over else np.inf)
    for person_id in [person_id for person_id in people if person_id.endswith("3")]:
        assert matrix.remove_person(person_id)
        assert not matrix.remove_person(person_id)
        del people[person_id]
    alive = {person_id: vectors for person_id, vectors in people.items() if person_id not in over}
    queries = [*unit(rng, 4), next(iter(people.values()))[0] * 3]
    for limit in (1, 2, 10):
        found = matrix.search(queries, limit, NOW)
        assert [list(map(told, matches)) for matches in found] == [
            list(nearest(alive, query, limit)) for query in queries
        ]
    assert matrix.search(queries, 1, NOW - 1) == [
        search for query in queries for search in matrix.search([query], 1, 0)
    ]


def test_each_is_searched_among_the_others_over_many_blocks() -> None:
    rng = np.random.default_rng(3)
    people = {f"E{i}": unit(rng, 2) for i in range(700)}
    matrix = Matrix(DIMENSION)
    for person_id, vectors in people.items():
        add(matrix, person_id, vectors)
    searched = dict(matrix.search_each([f"E{i}" for i in range(0, 700, 7)], NOW))
    assert len(searched) == 100
    for person_id, match in searched.items():
        others = {other: vectors for other, vectors in people.items() if other != person_id}
        assert [told(match)] == list(nearest(others, people[person_id][0], 1))


def test_queries_stay_as_they_are() -> None:
    matrix, query = Matrix(DIMENSION), unit(np.random.default_rng(1), 1)[0]
    add(matrix, "E1", query[np.newaxis])
    before = query.copy()
    assert matrix.search([query, query], 1, NOW) == 2 * [[Match("E1", 0.0, "ph_0", 1)]]
    assert np.array_equal(query, before)


def test_copies_of_one_vector_are_all_found() -> None:
    matrix, same = Matrix(DIMENSION), unit(np.random.default_rng(1), 1)
    for i in range(1200):
        add(matrix, f"E{i:04}", same)
    [found] = matrix.search([same[0]], 10, NOW)
    assert [(match.person_id, match.distance) for match in found] == [(f"E{i:04}", 0.0) for i in range(10)]


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf, 1e30])
def test_a_row_that_is_not_finite_is_named_and_everybody_else_found(broken: float) -> None:
    """It once hid whoever was in the same block."""
    matrix, vectors = Matrix(DIMENSION), unit(np.random.default_rng(1), 20)
    damaged = []
    for i, vector in enumerate(vectors):
        matrix.add_person(f"E{i}")
        for photo_id, first in (("broken", broken), ("ph_0", vector[0]), ("inf", np.inf if i % 3 == 0 else vector[0])):
            row = vector.copy()
            row[0] = first
            matrix.new_row(f"E{i}", photo_id)[:] = row.tobytes()
        damaged += [(f"E{i}", "broken"), *([(f"E{i}", "inf")] if i % 3 == 0 else [])]
    assert sorted(matrix.fill_rows()) == sorted(damaged)
    assert matrix.fill_rows() == []
    assert len(matrix) == 60 - len(damaged)
    for i, vector in enumerate(vectors):
        [[match]] = matrix.search([vector], 1, NOW)
        assert (match.person_id, match.distance, match.photos) == (f"E{i}", 0, 1 if i % 3 == 0 else 2)


def test_a_row_that_is_not_a_unit_vector_costs_later_searches_nothing_once_it_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever lies within the slack of its length is compared exactly: while it is there, everybody."""
    matrix, vectors = Matrix(DIMENSION), unit(np.random.default_rng(1), 1000)
    for i, vector in enumerate(vectors):
        add(matrix, f"E{i}", vector[np.newaxis])
    add(matrix, "long", 1e6 * vectors[:1])
    matrix.remove_person("long")
    matrix.fill_rows()
    compared, matches = [], matrix._matches

    def counted(rows: NDArray[np.intp], query: Vector) -> list[Match]:
        compared.append(len(rows))
        return matches(rows, query)

    monkeypatch.setattr(matrix, "_matches", counted)
    assert matrix.search([vectors[7]], 1, NOW) == [[Match("E7", 0.0, "ph_0", 1)]]
    assert compared == [1]


def test_a_row_is_found_once_it_is_complete_wherever_it_has_moved() -> None:
    matrix, vectors = Matrix(DIMENSION), 3 * unit(np.random.default_rng(1), 2)
    add(matrix, "E0", vectors[:1])
    matrix.add_person("E1")
    matrix.new_row("E1", "ph_0")[:] = vectors[1].tobytes()
    assert [match.person_id for match in matrix.search([vectors[1]], 9, NOW)[0]] == ["E0"]
    matrix.remove_person("E0")
    assert matrix.search([vectors[1]], 9, NOW) == [[]]
    matrix.fill_rows()
    assert matrix.search([vectors[1]], 9, NOW) == [[Match("E1", 0.0, "ph_0", 1)]]
