"""Whose face it is: one person's or another's, at a measured error rate, or nobody's. Knows no HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.gallery.gallery import Gallery
from app.gallery.index import Counts
from app.gallery.matrix import Match
from app.gallery.records import PhotoNotFound
from app.inference.gathered_search import GatheredSearch
from app.inference.in_threads import InThreads
from app.inference.verifier import Timings, Verifier
from model.decision import Decision
from model.faces.face import Face
from model.search import Outcome, SearchPoint, SearchPolicy


@dataclass(frozen=True)
class SearchTimings(Timings):
    """`search` includes the time until memory was as new as the request, and until the searches before were done."""

    search: float


@dataclass(frozen=True)
class Identification:
    """`matches`: who is under the threshold or too near to the best to tell apart, the nearest first.

    `nearest`: the smallest distance, whoever's; None where nobody is enrolled. `margin`: how far behind the next person
    lies; None where there is none.
    """

    outcome: Outcome
    nearest: float | None
    margin: float | None
    matches: tuple[Match, ...]
    point: SearchPoint
    counts: Counts
    face: Face
    timings: Timings


@dataclass(frozen=True)
class PersonVerification:
    decision: Decision
    match: Match
    face: Face
    timings: Timings


@dataclass(frozen=True)
class Identifier:
    verifier: Verifier
    gallery: Gallery
    policy: SearchPolicy
    fpir: float
    threads: InThreads
    everybody: GatheredSearch

    async def identify(
        self, image: bytes, deadline: float, caller: str, fpir: float | None, limit: int
    ) -> Identification:
        """Searches the face among everybody. Raises LevelNotSupported, and what the verifier and the gallery raise."""
        async with _beside(self.everybody.refresh()) as refreshed:
            embedded = await self.verifier.embed(image, deadline, caller)
            started = time.perf_counter()
            try:
                await refreshed
                found = await self.everybody.search(embedded.embedding, max(limit, 2))
            finally:
                embedded.embedding.fill(0)  # it may be that of a photo that will be erased
        timings = SearchTimings(**vars(embedded.timings), search=time.perf_counter() - started)
        point = self.policy.point(self.fpir if fpir is None else fpir, found.counts.people, found.counts.photos)
        distances = [match.distance for match in found.matches]
        outcome = point.outcome(distances)
        return Identification(
            outcome=outcome,
            nearest=distances[0] if distances else None,
            margin=round(distances[1] - distances[0], 6) if len(distances) > 1 else None,
            matches=_shown(found.matches, point, outcome, limit),
            point=point,
            counts=found.counts,
            face=embedded.face,
            timings=timings,
        )

    async def verify(
        self, person_id: str, image: bytes, deadline: float, caller: str, fmr: float | None
    ) -> PersonVerification:
        """Compares the face with a person's photos. Raises PersonNotFound; PhotoNotFound where there is none."""
        self.verifier.policy.operating_point(fmr)
        await self.threads.run(lambda: self.gallery.register.person(person_id))
        embedded = await self.verifier.embed(image, deadline, caller)
        try:
            match = await self.threads.run(lambda: self.gallery.index.search_person(embedded.embedding, person_id))
        finally:
            embedded.embedding.fill(0)
        if match is None:
            raise PhotoNotFound
        decision = self.verifier.policy.decide(match.distance, fmr, match.photos)
        return PersonVerification(decision, match, embedded.face, embedded.timings)


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Runs `work` while the block runs, which may await it; else how it ends is nobody's concern."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        yield task
    finally:
        task.cancel()


def _shown(matches: list[Match], point: SearchPoint, outcome: Outcome, limit: int) -> tuple[Match, ...]:
    """`unknown` names nobody; `ambiguous` names those between whom it lies."""
    if outcome == "unknown":
        return ()
    within = point.threshold
    if outcome == "ambiguous":
        within = max(within, matches[1].distance)
        limit = max(limit, 2)
    return tuple(match for match in matches[:limit] if match.distance <= within)
