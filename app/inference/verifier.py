"""Turns pictures into a decision or an embedding. Knows no HTTP; its collaborators are passed in."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np

from app.inference.batching import Batched, Batcher, BatchFailedError, QueueFullError
from app.inference.finder_pool import FinderPool
from app.inference.turns import Turns
from model.decision import Decision, Policy
from model.domain import is_out_of_domain
from model.embedding.embedder import Embedding, SelfTestError, check_self_test, distances, golden_crops
from model.faces.face import Crop, Face, FaceWarning, NoFaceFound
from model.images import InvalidImage, WorkingCopy
from model.manifest import Manifest

MOST_FACES = 50
"""Of a picture whose faces are all compared: the largest ones."""
_PIECE = 8

Faces = TypeVar("Faces", Face, tuple[Face, ...])
First = TypeVar("First")
Second = TypeVar("Second")


class RefusedImageError(Exception):
    """One of the pictures cannot be used: `image` is its name in the request, `__cause__` the reason."""

    def __init__(self, image: str) -> None:
        super().__init__(image)
        self.image = image


@dataclass(frozen=True)
class Timings:
    """Seconds a stage; of two pictures that ran side by side, the slower one's.

    `decode` and `detect` include the time until a process or thread was free for it.
    """

    decode: float
    detect: float
    queue: float
    embed: float


@dataclass(frozen=True)
class Comparison:
    """One face of the second picture, judged by the decision's threshold."""

    same: bool
    distance: float
    face: Face


@dataclass(frozen=True)
class Verification:
    """`faces`: those of the decision, by the names of their pictures.

    `comparisons`: with each face of the second picture, where all were asked for; the decision is then the closest's.
    """

    decision: Decision
    faces: dict[str, Face]
    timings: Timings
    comparisons: tuple[Comparison, ...] = ()


@dataclass(frozen=True)
class Embedded:
    embedding: Embedding
    face: Face
    timings: Timings


@dataclass(frozen=True)
class _TimedFaces(Generic[Faces]):
    faces: Faces
    decode: float
    detect: float


@dataclass(frozen=True)
class Verifier:
    """Runs the stages of a request. What depends on the input comes before the batcher: it takes crops of one shape."""

    manifest: Manifest
    policy: Policy
    decoded: Callable[[bytes, str], AbstractAsyncContextManager[WorkingCopy]]
    """From a file and the name of the caller: callers take turns."""
    finders: FinderPool
    batcher: Batcher[Crop, Embedding]
    groups: Turns[int]
    """Whoever compares a group has one. If all began at once, all would be late at once."""

    async def verify(
        self, image1: bytes, image2: bytes, fmr: float | None = None, deadline: float = math.inf, caller: str = ""
    ) -> Verification:
        """Judges whether both pictures show one person. The embedding must begin by `deadline` of `time.monotonic`.

        Raises LevelNotSupported before any work, RefusedImageError for a picture, and what `decoded` and the batcher
        raise where they are too busy or broken.
        """
        self.policy.operating_point(fmr)
        one, two = await _both(
            self._read("image1", image1, caller, self.finders.find),
            self._read("image2", image2, caller, self.finders.find),
        )
        batched = await self.batcher.submit(one.faces.crop, two.faces.crop, deadline=deadline, caller=caller)
        first, second = batched.values
        distance = float(distances(first, second))
        faces = {"image1": self._judged(one.faces, first), "image2": self._judged(two.faces, second)}
        warnings = {warning for face in faces.values() for warning in face.warnings}
        decision = self.policy.decide(distance, fmr, warnings=warnings)
        return Verification(decision, faces, _timings([one, two], [batched]))

    async def verify_all(
        self, image1: bytes, image2: bytes, fmr: float | None = None, deadline: float = math.inf, caller: str = ""
    ) -> Verification:
        """As `verify`, with each face of the second picture: its `MOST_FACES` largest ones.

        The level holds for all comparisons together. Raises LevelNotSupported also where it does not for so many.
        """
        self.policy.operating_point(fmr)
        async with self.groups.lent(caller):
            return await self._verify_group(image1, image2, fmr, deadline, caller)

    async def _verify_group(
        self, image1: bytes, image2: bytes, fmr: float | None, deadline: float, caller: str
    ) -> Verification:
        # Not behind the caller's other pictures: nobody else can use its place among the groups until it is done.
        turns_as = f"{caller}, a group"
        one, group = await _both(
            self._read("image1", image1, turns_as, self.finders.find),
            self._read("image2", image2, turns_as, lambda picture: self.finders.find_all(picture, MOST_FACES)),
        )
        count = len(group.faces)
        self.policy.operating_point(fmr, count)
        crops = [one.faces.crop, *(face.crop for face in group.faces)]
        # In pieces, so that others' pictures get their turn between them.
        pieces = [crops[start : start + _PIECE] for start in range(0, len(crops), _PIECE)]
        batches = [
            await self.batcher.submit(*piece, deadline=deadline, caller=caller, turns_as=turns_as) for piece in pieces
        ]
        first, *others = (embedding for batch in batches for embedding in batch.values)
        apart = distances(first, np.stack(others)).tolist()
        decision = self.policy.decide(min(apart), fmr, count)
        threshold = decision.operating_point.threshold
        comparisons = tuple(
            Comparison(distance <= threshold, distance, self._judged(face, embedding))
            for distance, face, embedding in zip(apart, group.faces, others, strict=True)
        )
        closest = min(comparisons, key=lambda comparison: comparison.distance)
        faces = {"image1": self._judged(one.faces, first), "image2": closest.face}
        return Verification(decision, faces, _timings([one, group], batches), comparisons)

    async def embed(self, image: bytes, deadline: float = math.inf, caller: str = "") -> Embedded:
        """The embedding of the face in the picture. Raises as `verify` does."""
        read = await self._read("image", image, caller, self.finders.find)
        batched = await self.batcher.submit(read.faces.crop, deadline=deadline, caller=caller)
        (embedding,) = batched.values
        return Embedded(embedding, self._judged(read.faces, embedding), _timings([read], [batched]))

    async def check(self) -> None:
        """Embeds the golden crops as any request would. Raises SelfTestError, ClosedError or StoppedError.

        A full queue is no fault, and a batch that has just succeeded counts as a check.
        """
        self.batcher.check()
        if self.batcher.proven:
            return
        try:
            batched = await self.batcher.submit(*golden_crops(self.manifest.crop))
        except QueueFullError:
            return
        except BatchFailedError as error:
            raise SelfTestError("the network fails") from error
        check_self_test(np.stack(batched.values), self.manifest.self_test)

    def _judged(self, face: Face, embedding: Embedding) -> Face:
        calibration = self.manifest.calibration
        if calibration and calibration.domain and is_out_of_domain(calibration.domain, face.quality, embedding):
            return replace(face, warnings=(*face.warnings, FaceWarning.OUT_OF_DOMAIN))
        return face

    async def _read(
        self, name: str, image: bytes, caller: str, find: Callable[[WorkingCopy], Awaitable[Faces]]
    ) -> _TimedFaces[Faces]:
        try:
            started = time.perf_counter()
            async with self.decoded(image, caller) as picture:
                decoded = time.perf_counter()
                # The decoder waits with the picture until there is a place: few pictures are in memory at once.
                place = await self.finders.places.take(caller)
            try:
                faces = await find(picture)
            finally:
                self.finders.places.give(place)
        except (InvalidImage, NoFaceFound) as error:
            raise RefusedImageError(name) from error
        return _TimedFaces(faces, decoded - started, time.perf_counter() - decoded)


async def _both(one: Awaitable[First], two: Awaitable[Second]) -> tuple[First, Second]:
    # Both are always judged, so that of two bad pictures the first is named, whichever failed sooner.
    first, second = await asyncio.gather(one, two, return_exceptions=True)
    if isinstance(first, BaseException):
        raise first
    if isinstance(second, BaseException):
        raise second
    return first, second


def _timings(pictures: Sequence[_TimedFaces[Any]], batches: Sequence[Batched[Embedding]]) -> Timings:
    return Timings(
        decode=max(picture.decode for picture in pictures),
        detect=max(picture.detect for picture in pictures),
        queue=sum(batch.waited for batch in batches),
        embed=sum(batch.ran for batch in batches),
    )
