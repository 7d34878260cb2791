"""Vectors in memory, owned by people, searched exactly; what is taken out is overwritten. Knows no database, no key."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
_DECIMALS = 6
"""As everywhere in Facepair: what float32 embeddings can be trusted to."""
_SLACK = 1e-3
"""Of the largest squared length: far more than float32 can be wrong by in a sum of a thousand products."""
_QUERIES_AT_ONCE = 64
_BLOCK = 512
"""Rows that stay in a core's cache while each query is compared with them: a search waits for memory most."""


@dataclass(frozen=True)
class Match:
    """A person and which photo of theirs is nearest. `photos`: how many of theirs were compared."""

    person_id: str
    distance: float
    photo_id: str
    photos: int


@dataclass(slots=True)
class _Owner:
    person_id: str
    expires: float
    rows: list[int] = field(default_factory=list)


class Matrix:
    """Rows of one length, in no order: a row that goes is replaced by the last one. Not safe from many threads."""

    def __init__(self, dimension: int) -> None:
        self._vectors = np.zeros((_BLOCK, dimension), np.float32)
        self._squares = np.full(_BLOCK, np.inf, np.float32)  # of nobody's row: it is near to nothing
        self._expires = np.zeros(_BLOCK)
        self._owners: list[_Owner] = []
        self._photo_ids: list[str] = []
        self._people: dict[str, _Owner] = {}
        self._most_rows = 0  # that anybody has had
        self._largest_square = 0.0  # of any row

    def __len__(self) -> int:
        return len(self._owners)

    @property
    def people(self) -> int:
        return len(self._people)

    def add_person(self, person_id: str, expires: float = np.inf) -> None:
        """A person without vectors, not found from the time `expires` on (seconds since 1970)."""
        self._people[person_id] = _Owner(person_id, expires)

    def new_row(self, person_id: str, photo_id: str) -> memoryview:
        """The bytes of a new row, to be filled, or dropped before the next; `fill_rows` must follow."""
        row, owner = len(self._owners), self._people[person_id]
        if row == len(self._vectors):
            self._grow()
        self._owners.append(owner)
        self._photo_ids.append(photo_id)
        owner.rows.append(row)
        self._most_rows = max(self._most_rows, len(owner.rows))
        self._expires[row] = owner.expires
        return memoryview(self._vectors[row]).cast("B")

    def fill_rows(self) -> list[tuple[str, str]]:
        """The rows that were added are complete: until then a search does not find them.

        Whatever is not finite is taken out again, or nothing near it would be found. Gives whose and which photos.
        """
        new = np.flatnonzero(np.isinf(self._squares[: len(self)]))
        vectors = self._vectors[new]
        with np.errstate(over="ignore", invalid="ignore"):
            self._squares[new] = squares = np.einsum("ij,ij->i", vectors, vectors)
        vectors.fill(0)
        damaged = new[~np.isfinite(squares)].tolist()
        named = [(self._owners[row].person_id, self._photo_ids[row]) for row in damaged]
        for row in reversed(damaged):  # the last first: the row that then takes its place is a sound one
            self._drop(row)
        self._largest_square = float(self._squares[: len(self)].max(initial=0))
        return named

    def drop_row(self) -> None:
        """The row that was added last is taken out again."""
        self._drop(len(self) - 1)

    def remove_person(self, person_id: str) -> bool:
        """Takes a person out, if there, and overwrites their vectors; whether they were."""
        owner = self._people.pop(person_id, None)
        for row in sorted(owner.rows, reverse=True) if owner else ():
            self._take_out(row)
        return owner is not None

    def clear(self) -> None:
        for person_id in list(self._people):
            self.remove_person(person_id)

    def search(self, queries: Sequence[Vector], limit: int, now: float) -> list[list[Match]]:
        """For each query the nearest people, at most so many, the nearest first; of each, the nearest photo."""
        near = self._near(np.stack(queries), now)
        return [self._nearest(near[:, i], query, limit) for i, query in enumerate(queries)]

    def search_few(self, query: Vector, limit: int, now: float, most: int) -> list[Match] | None:
        """As search, of one query; None where more than `most` rows would have to be compared exactly."""
        rows = self._within_reach(self._near(query[np.newaxis].copy(), now)[:, 0], query, limit)
        return self._best(rows, query, limit) if len(rows) <= most else None

    def search_person(self, query: Vector, person_id: str, now: float) -> Match | None:
        """The person's nearest photo; None where they have none here, or have expired."""
        owner = self._people.get(person_id)
        if owner is None or not owner.rows or owner.expires <= now:
            return None
        return min(self._matches(np.array(owner.rows), query), key=lambda match: match.distance)

    def search_each(self, person_ids: Sequence[str], now: float) -> Iterator[tuple[str, Match]]:
        """The nearest other person of each of these, by their first photo; those without photos are left out."""
        searchers = [owner for owner in (self._people.get(each) for each in person_ids) if owner and owner.rows]
        for start in range(0, len(searchers), _QUERIES_AT_ONCE):
            part = searchers[start : start + _QUERIES_AT_ONCE]
            queries = self._vectors[[owner.rows[0] for owner in part]]
            near = self._near(queries.copy(), now)
            for i, (owner, query) in enumerate(zip(part, queries, strict=True)):
                _set_infinite(near[:, i], np.array(owner.rows))
                yield from ((owner.person_id, match) for match in self._nearest(near[:, i], query, 1))
            queries.fill(0)

    def person_ids(self) -> list[str]:
        return list(self._people)

    def _near(self, queries: Vector, now: float) -> Vector:
        """Squared distances less the query's square, of shape (blocks, queries, _BLOCK); infinite for nobody's rows.

        Overwrites `queries`. Each block is multiplied with one query after another: a product of matrices would be no
        faster, and would leave copies of vectors in the buffers of the library that computes it.
        """
        blocks, dimension = -(-len(self) // _BLOCK), queries.shape[1]
        vectors = self._vectors[: blocks * _BLOCK].reshape(blocks, 1, _BLOCK, dimension)
        queries *= -2
        near: Vector = np.matmul(vectors, queries[:, :, np.newaxis])[..., 0]
        queries.fill(0)
        near += self._squares[: blocks * _BLOCK].reshape(blocks, 1, _BLOCK)
        over = np.flatnonzero(self._expires[: len(self)] <= now)
        for i in range(near.shape[1]) if len(over) else ():
            _set_infinite(near[:, i], over)
        return near

    def _nearest(self, near: Vector, query: Vector, limit: int) -> list[Match]:
        """From a query's part of what `_near` gives."""
        return self._best(self._within_reach(near, query, limit), query, limit)

    def _within_reach(self, near: Vector, query: Vector, limit: int) -> NDArray[np.intp]:
        """Rows among which the nearest people are, for all that float32 may be wrong by."""
        count = min(len(self), limit * self._most_rows)  # so many rows belong to `limit` people or more
        if count == 0:
            return np.empty(0, np.intp)
        minima = near.min(axis=1)  # the smallest few of these are no smaller than the smallest few of all
        bound = np.partition(minima if count <= len(minima) else near.ravel(), count - 1)[count - 1]
        bound += _SLACK * max(self._largest_square, float(query @ query))
        blocks = np.flatnonzero(minima <= bound)
        places, columns = np.nonzero((near[blocks] <= bound) & np.isfinite(near[blocks]))
        return blocks[places] * _BLOCK + columns

    def _best(self, rows: NDArray[np.intp], query: Vector, limit: int) -> list[Match]:
        best: dict[str, Match] = {}
        for match in sorted(self._matches(rows, query), key=lambda match: (match.distance, match.person_id)):
            best.setdefault(match.person_id, match)
        return list(best.values())[:limit]

    def _matches(self, rows: NDArray[np.intp], query: Vector) -> list[Match]:
        """By the exact distance, counted in float64 as /verify counts it; no copy of a vector stays behind."""
        vectors = self._vectors[rows]
        differences = vectors - query.astype(np.float64)
        squares = np.einsum("ij,ij->i", differences, differences)
        vectors.fill(0)
        differences.fill(0)
        matches = []
        for row, distance in zip(rows.tolist(), np.round(np.sqrt(squares), _DECIMALS).tolist(), strict=True):
            owner = self._owners[row]
            matches.append(Match(owner.person_id, distance, self._photo_ids[row], len(owner.rows)))
        return matches

    def _drop(self, row: int) -> None:
        self._owners[row].rows.remove(row)
        self._take_out(row)

    def _take_out(self, row: int) -> None:
        """Of a row that its owner no longer counts."""
        last = len(self) - 1
        if row != last:
            self._vectors[row], self._squares[row] = self._vectors[last], self._squares[last]
            self._expires[row], self._photo_ids[row] = self._expires[last], self._photo_ids[last]
            moved = self._owners[row] = self._owners[last]
            moved.rows[moved.rows.index(last)] = row
        self._vectors[last] = 0
        self._squares[last] = np.inf
        self._owners.pop()
        self._photo_ids.pop()

    def _grow(self) -> None:
        before, rows = self._vectors, len(self._vectors)
        more = (rows // (2 * _BLOCK) + 1) * _BLOCK
        self._vectors = np.zeros((rows + more, before.shape[1]), np.float32)
        self._vectors[:rows] = before
        self._squares = np.concatenate([self._squares, np.full(more, np.inf, np.float32)])
        self._expires = np.concatenate([self._expires, np.zeros(more)])
        before.fill(0)


def _set_infinite(near: Vector, rows: NDArray[np.intp]) -> None:
    near[rows // _BLOCK, rows % _BLOCK] = np.inf
