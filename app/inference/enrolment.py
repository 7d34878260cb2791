"""Photos of a person into the gallery: which are good enough, and whose else they might be. Knows no HTTP."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.gallery.gallery import Gallery
from app.gallery.index import Counts, Found
from app.gallery.matrix import Match
from app.gallery.records import NewPhoto, Photo
from app.inference.in_threads import InThreads
from app.inference.verifier import Embedded, RefusedImageError, Verifier
from model.decision import LevelNotSupported
from model.embedding.embedder import Embedding, distances
from model.faces.face import FaceWarning
from model.manifest import contract_id
from model.search import SearchPolicy

GATE = {
    FaceWarning.SEVERAL_FACES: "several_faces",
    FaceWarning.SMALL_FACE: "face_too_small",
    FaceWarning.BLURRED: "blurred",
    FaceWarning.DARK: "too_dark",
    FaceWarning.BRIGHT: "too_bright",
    FaceWarning.HEAD_TURNED: "extreme_pose",
    FaceWarning.FACE_CUT: "face_cut",
    FaceWarning.OUT_OF_DOMAIN: "out_of_domain",
}
"""What the gate calls a face's warnings; the names of ISO/IEC 29794-5 where there is one."""
DIFFERS, RESEMBLES, TOO_MANY = "differs_from_person", "resembles_other_person", "too_many_photos"
_SAME_FMR = 0.01
"""A photo that would not pass as the person's at so lax a level is probably somebody else's."""
_SAME_PHOTO = 1e-3
"""As a distance: what is nearer is one photo, embedded twice. After an import it has the id of another gallery."""


class EnrolmentRejected(Exception):  # noqa: N818 - says what is wrong with the photos
    """The gate let no photo through. `members`: what the answer says besides."""

    def __init__(self, rejected: Sequence[dict[str, object]]) -> None:
        super().__init__("rejected")
        self.members = {"rejected": list(rejected)}


@dataclass(frozen=True)
class Accepted:
    """`new`: False where the same photo was enrolled before."""

    photo_id: str
    new: bool
    quality: dict[str, float]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Rejected:
    """The picture at this place of the request; the reason is one of the gate's, or an error of the picture itself."""

    index: int
    reason: str | RefusedImageError
    resembles: str | None = None


@dataclass(frozen=True)
class Enrolled:
    accepted: tuple[Accepted, ...]
    rejected: tuple[Rejected, ...]
    counts: Counts


@dataclass
class _Request:
    """What is known of one request, as its pictures are judged one after another."""

    person_id: str
    strict: bool
    allow_lookalike: bool
    room: int
    embeddings: list[Embedding] = field(default_factory=list)
    photos: list[NewPhoto] = field(default_factory=list)
    lookalikes: int = 0


@dataclass(frozen=True)
class Enrolment:
    verifier: Verifier
    gallery: Gallery
    policy: SearchPolicy
    fpir: float
    threads: InThreads

    async def enrol(
        self,
        person_id: str,
        images: Sequence[bytes],
        deadline: float,
        shares_as: str,
        *,
        caller: str,
        strict: bool,
        lookalike: bool,
    ) -> Enrolled:
        """Adds what the gate lets through, all at once; makes the person if need be.

        `shares_as`: who takes turns with others; `caller`: whom the audit names.
        Not `strict`: what is wrong with a photo is a warning, but for a face that resembles another person's, which
        only `lookalike` lets in. Raises what the verifier and the gallery raise, but for pictures that are refused;
        PersonNotFound where the person was there and was erased meanwhile.
        """
        register, contract = self.gallery.register, contract_id(self.verifier.manifest)
        there = await self.threads.run(lambda: register.enrolled(person_id, contract))
        known = there or {}
        ids = [register.hashes.photo_id(person_id, image) for image in images]
        new = {ids[i]: i for i in reversed(range(len(ids))) if ids[i] not in known}
        faces = await self._faces({photo_id: images[index] for photo_id, index in new.items()}, deadline, shares_as)
        request = _Request(person_id, strict, lookalike, register.limits.photos - len(known))
        judged = _enrolled_before(known)
        try:
            for photo_id in sorted(new, key=new.__getitem__):
                judged[photo_id] = await self._judge(request, photo_id, new[photo_id], faces[photo_id])
            outcome = "enrolled" if not request.lookalikes else "enrolled with a look-alike"
            counts = await self.threads.change(
                lambda: self.gallery.enrol(person_id, request.photos, contract, caller, outcome, makes=there is None),
                shares_as,
            )
        finally:
            for face in faces.values():
                if isinstance(face, Embedded):
                    face.embedding.fill(0)
        return _answer(judged, ids, new, counts)

    async def _faces(
        self, images: dict[str, bytes], deadline: float, shares_as: str
    ) -> dict[str, Embedded | RefusedImageError]:
        found = await asyncio.gather(
            *(self.verifier.embed(image, deadline, shares_as) for image in images.values()), return_exceptions=True
        )
        faces: dict[str, Embedded | RefusedImageError] = {}
        for photo_id, face in zip(images, found, strict=True):
            if isinstance(face, BaseException) and not isinstance(face, RefusedImageError):
                raise face
            faces[photo_id] = face
        return faces

    async def _judge(
        self, request: _Request, photo_id: str, index: int, face: Embedded | RefusedImageError
    ) -> Accepted | Rejected:
        if isinstance(face, RefusedImageError):
            return Rejected(index, face)
        mine, found = await self.threads.run(
            lambda: self.gallery.index.search_before_enrolling(face.embedding, request.person_id, 2)
        )
        quality = {name: getattr(face.face.quality, name) for name in ("size_px", "sharpness", "brightness")}
        if mine and mine.distance <= _SAME_PHOTO:
            return Accepted(mine.photo_id, False, quality, ())
        reasons = [GATE[warning] for warning in face.face.warnings if warning in GATE]
        if self._differs(request, face.embedding, mine):
            reasons.append(DIFFERS)
        if reasons and request.strict:
            return Rejected(index, reasons[0])
        other = self._resembles(request.person_id, found)
        if other and not request.allow_lookalike:
            return Rejected(index, RESEMBLES, other)
        if len(request.photos) >= request.room:
            return Rejected(index, TOO_MANY)
        request.lookalikes += other is not None
        warnings = (*reasons, *([RESEMBLES] if other else []))
        request.embeddings.append(face.embedding)
        request.photos.append(NewPhoto(photo_id, memoryview(face.embedding.data).cast("B"), quality, warnings))
        return Accepted(photo_id, True, quality, warnings)

    def _differs(self, request: _Request, embedding: Embedding, match: Match | None) -> bool:
        """From the person's photos, of whom `match` is the nearest that is enrolled."""
        nearest = [match.distance] if match else []
        nearest += [float(distances(embedding, other)) for other in request.embeddings]
        points = self.verifier.policy.operating_points
        lax = points.get(_SAME_FMR) or points[max(points)]
        return bool(nearest) and min(nearest) > lax.threshold

    def _resembles(self, person_id: str, found: Found) -> str | None:
        """Whom the face would be named for, if not for the person."""
        others = [match for match in found.matches if match.person_id != person_id]
        try:
            threshold = self.policy.point(self.fpir, found.counts.people, found.counts.photos).threshold
        except LevelNotSupported:
            threshold = self.verifier.policy.operating_points[min(self.verifier.policy.operating_points)].threshold
        return others[0].person_id if others and others[0].distance <= threshold else None


def _enrolled_before(photos: Mapping[str, Photo]) -> dict[str, Accepted | Rejected]:
    return {
        each.photo_id: Accepted(each.photo_id, False, dict(each.quality), each.warnings) for each in photos.values()
    }


def _answer(
    judged: dict[str, Accepted | Rejected], ids: Sequence[str], new: dict[str, int], counts: Counts
) -> Enrolled:
    """In the order of the request; a file that is in it twice is enrolled once."""
    accepted, rejected = [], []
    for index, photo_id in enumerate(ids):
        outcome = judged[photo_id]
        if isinstance(outcome, Rejected):
            rejected.append(Rejected(index, outcome.reason, outcome.resembles))
        else:
            first = new.get(photo_id, -1) == index
            accepted.append(replace(outcome, new=outcome.new and first))
    return Enrolled(tuple(accepted), tuple(rejected), counts)
