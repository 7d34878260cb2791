"""A gallery tested by itself: each person searched among all others, where nobody should be found. Knows no HTTP."""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.gallery.index import Index
from app.gallery.matrix import Match
from app.inference.identification import Identifier
from model.decision import LevelNotSupported

_MOST_SEARCHES = 1000
_MOST_COMPARISONS = 20_000_000
"""In one go: as many as take a fraction of a second, while searches wait."""
_MOST_LOOKALIKES = 10


@dataclass(frozen=True)
class Lookalikes:
    person_id: str
    other_person_id: str
    distance: float


@dataclass(frozen=True)
class SelfTest:
    """`fpir` is None without searches."""

    searches: int
    fpir: float | None
    fpir_ci95: tuple[float, float] | None
    lookalikes: tuple[Lookalikes, ...]
    at: datetime


class SelfTests:
    """Remembers the last one, until the gallery has changed."""

    def __init__(self) -> None:
        self._running = threading.Lock()
        self._revision = -1
        self._last: SelfTest | None = None

    def run(self, index: Index, identifier: Identifier) -> SelfTest | None:
        """At the level of the settings; None where the bundle does not support it in such a gallery."""
        with self._running:
            counts = index.counts()
            if counts.revision != self._revision:
                most = max(100, min(_MOST_SEARCHES, _MOST_COMPARISONS // max(1, counts.photos)))
                searched, counts = index.search_each(most)
                try:
                    threshold = identifier.policy.point(identifier.fpir, counts.people, counts.photos).threshold
                except LevelNotSupported:
                    return None
                self._last, self._revision = judged(searched, threshold), counts.revision
            return self._last


def judged(searched: Sequence[tuple[str, Match]], threshold: float) -> SelfTest:
    """Counts the searches that name somebody, and lists the closest pairs of those."""
    near = [(person_id, match) for person_id, match in searched if match.distance <= threshold]
    pairs = {
        (min(person_id, match.person_id), max(person_id, match.person_id)): match.distance
        for person_id, match in sorted(near, key=lambda item: -item[1].distance)
    }
    closest = sorted(pairs.items(), key=lambda item: (item[1], item[0]))[:_MOST_LOOKALIKES]
    return SelfTest(
        searches=len(searched),
        fpir=len(near) / len(searched) if searched else None,
        fpir_ci95=wilson(len(near), len(searched)) if searched else None,
        lookalikes=tuple(Lookalikes(one, other, distance) for (one, other), distance in closest),
        at=datetime.now(UTC),
    )


def wilson(errors: int, trials: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson, 1927), three figures."""
    z, share = 1.959964, errors / trials
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)) / (1 + z**2 / trials)
    low = 0.0 if errors == 0 else max(0.0, middle - half)
    high = 1.0 if errors == trials else min(1.0, middle + half)
    return float(f"{low:.3g}"), float(f"{high:.3g}")
