import asyncio

import numpy as np
import pytest

from app.inference.batching import Batcher, DeadlineExceededError
from app.inference.finder_pool import FinderPool
from app.inference.verifier import RefusedImageError, Verifier
from model.decision import Policy
from model.embedding.embedder import Embedder, Embedding
from model.faces.face import Crop
from model.images import CorruptImage, UnsupportedFormat, WorkingCopy

pytestmark = pytest.mark.anyio


async def fail_late_and_early(data: bytes, _: str) -> WorkingCopy:
    if data == b"late":
        await asyncio.sleep(0.05)
        raise CorruptImage
    raise UnsupportedFormat


async def test_of_two_bad_pictures_the_first_is_named_whichever_failed_sooner(embedder: Embedder) -> None:
    finders = FinderPool(embedder.faces, 1)
    batcher: Batcher[Crop, Embedding] = Batcher(lambda crops: list(embedder.embed(crops)), 4, 4)
    verifier = Verifier(
        embedder.manifest, Policy(embedder.manifest), fail_late_and_early, finders.find, finders.find_all, batcher
    )
    for first, second, reason in [(b"late", b"early", CorruptImage), (b"early", b"late", UnsupportedFormat)]:
        with pytest.raises(RefusedImageError) as refused:
            await verifier.verify(first, second)
        assert refused.value.image == "image1"
        assert isinstance(refused.value.__cause__, reason)


async def test_both_crops_are_embedded_in_one_batch(embedder: Embedder) -> None:
    batches: list[int] = []

    def embed(crops: list[Crop]) -> list[Embedding]:
        batches.append(len(crops))
        return list(embedder.embed(crops))

    async def grey(data: bytes, _: str) -> WorkingCopy:
        return WorkingCopy(np.full((112, 92, 3), data[0], np.uint8), (92, 112))

    with FinderPool(embedder.faces, 2) as finders:
        async with Batcher(embed, max_batch=4, max_waiting=4) as batcher:
            verifier = Verifier(
                embedder.manifest, Policy(embedder.manifest), grey, finders.find, finders.find_all, batcher
            )
            verified = await verifier.verify(b"\x10", b"\x90")
    assert batches == [2]
    assert verified.faces["image1"].quality.brightness < verified.faces["image2"].quality.brightness
    assert min(vars(verified.timings).values()) >= 0


class Late:
    """A batcher that notes until when the work must have begun, and whose it is."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, str]] = []

    async def submit(self, *_: Crop, deadline: float, caller: str) -> None:
        self.asked.append((deadline, caller))
        raise DeadlineExceededError


async def test_deadline_and_caller_go_with_the_crops(embedder: Embedder) -> None:
    async def grey(_: bytes, __: str) -> WorkingCopy:
        return WorkingCopy(np.full((112, 92, 3), 90, np.uint8), (92, 112))

    late = Late()
    with FinderPool(embedder.faces, 2) as finders:
        verifier = Verifier(embedder.manifest, Policy(embedder.manifest), grey, finders.find, finders.find_all, late)  # type: ignore[arg-type]
        with pytest.raises(DeadlineExceededError):
            await verifier.verify(b"1", b"2", deadline=3.0, caller="a")
        with pytest.raises(DeadlineExceededError):
            await verifier.embed(b"1", deadline=4.0, caller="b")
    assert late.asked == [(3.0, "a"), (4.0, "b")]
