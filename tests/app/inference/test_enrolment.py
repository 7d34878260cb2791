"""The gate: each fault of a photo is named, rejects it where strict, and is a warning where not."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import pytest
import recognising

from app.gallery.gallery import Gallery, open_database, open_gallery
from app.gallery.records import Limits
from app.gallery.sealing import Sealing
from app.inference.enrolment import GATE, Accepted, Enrolment, Rejected
from app.inference.in_threads import InThreads
from app.inference.verifier import Embedded, Timings, Verifier
from model import bundle
from model.decision import Policy
from model.embedding.embedder import Embedder
from model.faces.face import FaceWarning, read_face
from model.manifest import contract_id
from model.search import SearchPolicy

pytestmark = pytest.mark.anyio
T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """A verifier that finds these faults in every face."""

    embedder: Embedder
    policy: Policy
    warnings: tuple[FaceWarning, ...] = ()

    @property
    def manifest(self) -> object:
        return self.embedder.manifest

    async def embed(self, image: bytes, _: float, __: str) -> Embedded:
        face = read_face(image, self.embedder.faces)
        [embedding] = self.embedder.embed(np.stack([face.crop]))
        return Embedded(embedding, replace(face, warnings=self.warnings), Timings(0, 0, 0, 0))


@pytest.fixture
async def enrolment(tmp_path: Path) -> AsyncIterator[Enrolment]:
    manifest = bundle.load(recognising.save_bundle(tmp_path / "recogniser")).manifest
    assert manifest.calibration is not None
    seen = Seen(Embedder(bundle.load(tmp_path / "recogniser")), Policy(manifest))
    database = open_database(f"sqlite:///{tmp_path / 'gallery.db'}")
    gallery = open_gallery(database, Sealing(bytes(32)), contract_id(manifest), manifest.embedding_size, Limits())
    threads = InThreads(1)
    yield Enrolment(cast("Verifier", seen), gallery, SearchPolicy(manifest.calibration), 0.1, threads)
    threads.close()
    gallery.close()


async def enrol(
    enrolment: Enrolment, *warnings: FaceWarning, strict: bool, person: int = 1
) -> tuple[Accepted | Rejected, Gallery]:
    verifier = cast("Verifier", replace(cast("Seen", enrolment.verifier), warnings=warnings))
    enrolled = await replace(enrolment, verifier=verifier).enrol(
        f"E{person}", [recognising.picture(person)], 0, "an address", caller="anna", strict=strict, lookalike=False
    )
    outcomes: list[Accepted | Rejected] = [*enrolled.accepted, *enrolled.rejected]
    assert len(outcomes) == 1
    return outcomes[0], enrolment.gallery


@pytest.mark.parametrize("warning", GATE)
async def test_a_fault_rejects_or_warns(enrolment: Enrolment, warning: FaceWarning) -> None:
    rejected, gallery = await enrol(enrolment, warning, strict=True)
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.index) == (GATE[warning], 0)
    assert gallery.index.counts().people == 0
    accepted, gallery = await enrol(enrolment, warning, strict=False)
    assert isinstance(accepted, Accepted)
    assert accepted.warnings == (GATE[warning],)
    assert [photo.warnings for photo in gallery.register.person("E1").photos] == [(GATE[warning],)]


def test_every_warning_has_a_name_at_the_gate() -> None:
    assert GATE.keys() == set(FaceWarning) - {FaceWarning.NO_DETECTOR}


async def test_a_bundle_without_a_detector_enrols_whole_pictures(enrolment: Enrolment) -> None:
    accepted, _ = await enrol(enrolment, FaceWarning.NO_DETECTOR, strict=True)
    assert isinstance(accepted, Accepted)
    assert accepted.warnings == ()


async def test_the_embedding_is_wiped_once_it_is_enrolled(enrolment: Enrolment) -> None:
    """It was made in turn with others' work: that of other addresses, which without keys are all one caller."""
    kept: list[Embedded] = []

    @dataclass(frozen=True)
    class Keeping(Seen):
        async def embed(self, image: bytes, deadline: float, caller: str) -> Embedded:
            assert caller == "an address"
            kept.append(await super().embed(image, deadline, caller))
            return kept[-1]

    seen = cast("Seen", enrolment.verifier)
    keeping = cast("Verifier", Keeping(seen.embedder, seen.policy))
    await replace(enrolment, verifier=keeping).enrol(
        "E1", [recognising.picture(1)], 0, "an address", caller="anna", strict=True, lookalike=False
    )
    assert len(kept) == 1
    assert not kept[0].embedding.any()


async def test_few_hops_between_loop_and_thread_lie_around_an_enrolment(enrolment: Enrolment) -> None:
    """Each may wait for a core: one to know the person, one to judge each photo, one to enrol."""
    hops: list[object] = []

    class Counted(InThreads):
        async def run(self, work: Callable[[], T]) -> T:
            hops.append(work)
            return await super().run(work)

        async def change(self, work: Callable[[], T], caller: str) -> T:
            hops.append(work)
            return await super().change(work, caller)

    counted = Counted(1)
    pictures = [recognising.picture(1), recognising.picture(1, 1)]
    seen = replace(enrolment, threads=counted)
    enrolled = await seen.enrol("E1", pictures, 0, "an address", caller="anna", strict=False, lookalike=False)
    assert (len(enrolled.accepted), enrolled.counts.photos, len(hops)) == (2, 2, 4)
    counted.close()


async def test_where_no_photo_is_let_in_nothing_is_written(enrolment: Enrolment) -> None:
    rejected, gallery = await enrol(enrolment, FaceWarning.BLURRED, strict=True)
    assert isinstance(rejected, Rejected)
    assert gallery.index.counts().revision == 0
