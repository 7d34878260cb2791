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


@dataclass(frozen=True)
class Match:
    """A person and which photo of theirs is nearest. `photos`: how many of theirs were compared."""

    person_id: str
    distance: float
    photo_id: str
    photos: int


@dataclass
class _Owner:
    person_id: str
    expires: float
    rows: list[int] = field(default_factory=list)


class Matrix:
    """Rows of one length, in no order: a row that goes is replaced by the last one. Not safe from many threads."""

    def __init__(self, dimension: int) -> None:
        self._vectors = np.zeros((64, dimension), np.float32)
        self._squares = np.zeros(64, np.float32)
        self._expires = np.zeros(64)
        self._owners: list[_Owner] = []
        self._photo_ids: list[str] = []
        self._people: dict[str, _Owner] = {}
        self._most_rows = 0  # that anybody has had

    def __len__(self) -> int:
        return len(self._owners)

    @property
    def people(self) -> int:
        return len(self._people)

    def add_person(self, person_id: str, expires: float = np.inf) -> None:
        """A person without vectors, not found from the time `expires` on (seconds since 1970)."""
        self._people[person_id] = _Owner(person_id, expires)

    def new_row(self, person_id: str, photo_id: str) -> memoryview:
        """The bytes of a new row, to be filled; `fill_row` or `drop_row` must follow."""
        row, owner = len(self), self._people[person_id]
        if row == len(self._vectors):
            self._grow()
        self._owners.append(owner)
        self._photo_ids.append(photo_id)
        owner.rows.append(row)
        self._most_rows = max(self._most_rows, len(owner.rows))
        self._squares[row] = np.inf
        self._expires[row] = owner.expires
        return memoryview(self._vectors[row]).cast("B")

    def fill_row(self) -> None:
        """The row that was added last is complete."""
        row = self._vectors[len(self) - 1]
        self._squares[len(self) - 1] = row @ row

    def drop_row(self) -> None:
        """The row that was added last is taken out again."""
        self._owners[-1].rows.remove(len(self) - 1)
        self._take_out(len(self) - 1)

    def remove_person(self, person_id: str) -> None:
        """Takes a person out, if there, and overwrites their vectors."""
        owner = self._people.pop(person_id, None)
        for row in sorted(owner.rows, reverse=True) if owner else ():
            self._take_out(row)

    def clear(self) -> None:
        for person_id in list(self._people):
            self.remove_person(person_id)

    def search(self, query: Vector, limit: int, now: float) -> list[Match]:
        """The nearest people, at most so many, the nearest first; of each, the nearest photo."""
        near = self._squares[: len(self)] - 2 * (self._vectors[: len(self)] @ query)
        return self._nearest(near, query, limit, now)

    def search_person(self, query: Vector, person_id: str) -> Match | None:
        """The person's nearest photo; None where they have none here."""
        owner = self._people.get(person_id)
        if owner is None or not owner.rows:
            return None
        return min(self._matches(owner.rows, query), key=lambda match: match.distance)

    def search_each(self, person_ids: Sequence[str], now: float) -> Iterator[tuple[str, Match]]:
        """The nearest other person of each of these, by their first photo; those without photos are left out."""
        searchers = [owner for owner in (self._people.get(each) for each in person_ids) if owner and owner.rows]
        for start in range(0, len(searchers), _QUERIES_AT_ONCE):
            part = searchers[start : start + _QUERIES_AT_ONCE]
            queries = self._vectors[[owner.rows[0] for owner in part]]
            near = self._squares[: len(self)] - 2 * (queries @ self._vectors[: len(self)].T)
            for owner, query, row in zip(part, queries, near, strict=True):
                row[owner.rows] = np.inf
                yield from ((owner.person_id, match) for match in self._nearest(row, query, 1, now))
            queries.fill(0)

    def person_ids(self) -> list[str]:
        return list(self._people)

    def _nearest(self, near: Vector, query: Vector, limit: int, now: float) -> list[Match]:
        near[self._expires[: len(self)] <= now] = np.inf
        count = min(len(near), limit * self._most_rows)  # so many rows belong to `limit` people or more
        if count == 0:
            return []
        slack = _SLACK * float(max(self._squares[: len(self)].max(), query @ query))
        worst = np.partition(near, count - 1)[count - 1] + slack
        rows = np.flatnonzero((near <= worst) & np.isfinite(near))
        best: dict[str, Match] = {}
        for match in sorted(self._matches(rows.tolist(), query), key=lambda match: (match.distance, match.person_id)):
            best.setdefault(match.person_id, match)
        return list(best.values())[:limit]

    def _matches(self, rows: Sequence[int], query: Vector) -> list[Match]:
        """By the exact distance, counted in float64 as /verify counts it; no copy of a vector stays behind."""
        wide, difference = query.astype(np.float64), np.empty(len(query))
        matches = []
        for row in rows:
            np.subtract(self._vectors[row], wide, out=difference)
            distance = round(float(np.linalg.norm(difference)), _DECIMALS)
            owner = self._owners[row]
            matches.append(Match(owner.person_id, distance, self._photo_ids[row], len(owner.rows)))
        difference.fill(0)
        return matches

    def _take_out(self, row: int) -> None:
        """Of a row that its owner no longer counts."""
        last = len(self) - 1
        if row != last:
            self._vectors[row], self._squares[row] = self._vectors[last], self._squares[last]
            self._expires[row], self._photo_ids[row] = self._expires[last], self._photo_ids[last]
            moved = self._owners[row] = self._owners[last]
            moved.rows[moved.rows.index(last)] = row
        self._vectors[last] = 0
        self._squares[last] = 0
        self._owners.pop()
        self._photo_ids.pop()

    def _grow(self) -> None:
        before = self._vectors
        more = len(before) // 2 + 1
        self._vectors = np.concatenate([before, np.zeros((more, before.shape[1]), np.float32)])
        self._squares = np.concatenate([self._squares, np.zeros(more, np.float32)])
        self._expires = np.concatenate([self._expires, np.zeros(more)])
        before.fill(0)
