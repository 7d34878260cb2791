"""The use case: pictures to a decision or an embedding. Knows no HTTP; its collaborators are passed in."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import numpy as np

from app.inference.batching import Batched, Batcher, BatchFailedError, QueueFullError
from model.decision import Decision, Policy
from model.domain import is_out_of_domain
from model.embedding.embedder import Embedding, SelfTestError, check_self_test, distances, golden_crops
from model.faces.face import Crop, Face, FaceWarning, NoFaceFound
from model.images import InvalidImage, WorkingCopy
from model.manifest import Manifest


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
class Verification:
    decision: Decision
    faces: dict[str, Face]
    timings: Timings


@dataclass(frozen=True)
class Embedded:
    embedding: Embedding
    face: Face
    timings: Timings


@dataclass(frozen=True)
class _Found:
    face: Face
    decode: float
    detect: float


@dataclass(frozen=True)
class Verifier:
    """Everything before the batcher depends on the input; only crops of one shape enter it."""

    manifest: Manifest
    policy: Policy
    decode: Callable[[bytes], Awaitable[WorkingCopy]]
    find_face: Callable[[WorkingCopy], Awaitable[Face]]
    embedder: Batcher[Crop, Embedding]

    async def verify(
        self, image1: bytes, image2: bytes, fmr: float | None = None, deadline: float = math.inf
    ) -> Verification:
        """Judges whether both pictures show one person. The embedding must begin by `deadline` of `time.monotonic`.

        Raises LevelNotSupported before any work, RefusedImageError for a picture, and what the batcher raises.
        """
        self.policy.operating_point(fmr)
        one, two = await self._find_both(image1, image2)
        batched = await self.embedder.submit(one.face.crop, two.face.crop, deadline=deadline)
        first, second = batched.values
        distance = float(distances(first, second))
        faces = {"image1": self._judged(one.face, first), "image2": self._judged(two.face, second)}
        return Verification(self.policy.decide(distance, fmr), faces, _timings([one, two], batched))

    async def embed(self, image: bytes, deadline: float = math.inf) -> Embedded:
        """The embedding of the face in the picture. Raises as `verify` does."""
        found = await self._find("image", image)
        batched = await self.embedder.submit(found.face.crop, deadline=deadline)
        (embedding,) = batched.values
        return Embedded(embedding, self._judged(found.face, embedding), _timings([found], batched))

    async def check(self) -> None:
        """Embeds the golden crops as any request would. Raises SelfTestError, ClosedError or StoppedError.

        Too busy to be asked is no fault, as long as the batches of others come to a good end.
        """
        self.embedder.check()
        if self.embedder.proven:
            return
        try:
            batched = await self.embedder.submit(*golden_crops(self.manifest.crop))
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

    async def _find_both(self, image1: bytes, image2: bytes) -> tuple[_Found, _Found]:
        # Both are always judged, so that of two bad pictures the first is named, whichever failed sooner.
        one, two = await asyncio.gather(
            self._find("image1", image1), self._find("image2", image2), return_exceptions=True
        )
        if isinstance(one, BaseException):
            raise one
        if isinstance(two, BaseException):
            raise two
        return one, two

    async def _find(self, name: str, image: bytes) -> _Found:
        try:
            started = time.perf_counter()
            picture = await self.decode(image)
            decoded = time.perf_counter()
            face = await self.find_face(picture)
        except (InvalidImage, NoFaceFound) as error:
            raise RefusedImageError(name) from error
        return _Found(face, decoded - started, time.perf_counter() - decoded)


def _timings(found: list[_Found], batched: Batched[Embedding]) -> Timings:
    return Timings(
        decode=max(each.decode for each in found),
        detect=max(each.detect for each in found),
        queue=batched.waited,
        embed=batched.ran,
    )
