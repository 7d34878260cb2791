import asyncio
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from app.inference.batching import Batcher, DeadlineExceededError
from app.inference.finder_pool import FinderPool
from app.inference.turns import Turns
from app.inference.verifier import RefusedImageError, Verifier
from model.decision import Policy
from model.embedding.embedder import Embedder, Embedding
from model.faces.face import Crop, Face, NoFaceFound
from model.images import CorruptImage, Rgb, UnsupportedFormat, WorkingCopy

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def fail_late_and_early(data: bytes, _: str) -> AsyncIterator[WorkingCopy]:
    if data == b"late":
        await asyncio.sleep(0.05)
        raise CorruptImage
    raise UnsupportedFormat
    yield


async def test_of_two_bad_pictures_the_first_is_named_whichever_failed_sooner(embedder: Embedder) -> None:
    finders = FinderPool(embedder.faces, 1)
    batcher: Batcher[Crop, Embedding] = Batcher(lambda crops: list(embedder.embed(crops)), 4, 4)
    verifier = Verifier(embedder.manifest, Policy(embedder.manifest), fail_late_and_early, finders, batcher, Turns([1]))
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

    @asynccontextmanager
    async def grey(data: bytes, _: str) -> AsyncIterator[WorkingCopy]:
        yield WorkingCopy(np.full((112, 92, 3), data[0], np.uint8), (92, 112))

    with FinderPool(embedder.faces, 2) as finders:
        async with Batcher(embed, max_batch=4, max_waiting=4) as batcher:
            verifier = Verifier(embedder.manifest, Policy(embedder.manifest), grey, finders, batcher, Turns([1]))
            verified = await verifier.verify(b"\x10", b"\x90")
    assert batches == [2]
    assert verified.faces["image1"].quality.brightness < verified.faces["image2"].quality.brightness
    assert min(vars(verified.timings).values()) >= 0


class Held:
    """Finds no face before it is let go, and notes whose pictures it had."""

    def __init__(self) -> None:
        self.gate, self.order = threading.Event(), list[int]()

    def find(self, picture: Rgb) -> Face:
        self.order.append(int(picture[0, 0, 0]))
        assert self.gate.wait(60)
        raise NoFaceFound

    def find_all(self, picture: Rgb, most: int) -> Iterator[Face]:
        raise NotImplementedError


class Counted:
    """Two decoders, and what they made."""

    def __init__(self) -> None:
        self.turns, self.made = Turns(range(2)), list[weakref.ref[WorkingCopy]]()

    @property
    def alive(self) -> int:
        return sum(made() is not None for made in self.made)

    @asynccontextmanager
    async def decoded(self, data: bytes, caller: str) -> AsyncIterator[WorkingCopy]:
        async with self.turns.lent(caller):
            picture = WorkingCopy(np.full((112, 92, 3), data[0], np.uint8), (92, 112))
            self.made.append(weakref.ref(picture))
            yield picture


async def test_few_pictures_are_decoded_at_once_and_callers_take_turns_to_have_them_searched(
    embedder: Embedder,
) -> None:
    held, decoders = Held(), Counted()
    with FinderPool(held, 1) as finders:
        verifier = Verifier(embedder.manifest, Policy(embedder.manifest), decoders.decoded, finders, None, Turns([1]))  # type: ignore[arg-type]
        asking = [asyncio.create_task(verifier.embed(bytes([1]), caller="a")) for _ in range(30)]
        await asyncio.sleep(0)
        asking.append(asyncio.create_task(verifier.embed(bytes([2]), caller="b")))
        for _ in range(100):
            await asyncio.sleep(0)
        alive = decoders.alive
        held.gate.set()
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {RefusedImageError}
    assert alive == 2 + 2  # the decoders' own; one is searched, and one is the next
    assert held.order[:6].count(2) == 1


async def test_whoever_leaves_has_a_place_until_no_thread_has_the_picture(embedder: Embedder) -> None:
    held = Held()
    with FinderPool(held, 1) as finders:
        verifier = Verifier(embedder.manifest, Policy(embedder.manifest), Counted().decoded, finders, None, Turns([1]))  # type: ignore[arg-type]
        leaving = [asyncio.create_task(verifier.embed(b"1")) for _ in range(2)]
        for _ in range(10):
            await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        await asyncio.sleep(0)
        free = finders.places.take_free()
        held.gate.set()
        assert len(await asyncio.gather(*leaving, return_exceptions=True)) == 2
        assert (free, len(finders.places._free)) == (None, 2)


async def test_another_picture_is_searched_between_the_faces_of_a_group(embedder: Embedder) -> None:
    whole, order, gate = embedder.faces, list[str](), threading.Event()

    class Slow:
        def find(self, picture: Rgb) -> Face:
            order.append("one")
            return whole.find(picture)

        def find_all(self, picture: Rgb, most: int) -> Iterator[Face]:
            assert gate.wait(60)
            for _ in range(most):
                order.append("of a group")
                yield whole.find(picture)

    picture = WorkingCopy(np.full((112, 92, 3), 90, np.uint8), (92, 112))
    with FinderPool(Slow(), 1) as finders:
        group = asyncio.create_task(finders.find_all(picture, 20))
        one = asyncio.create_task(finders.find(picture))
        await asyncio.sleep(0)
        gate.set()
        assert len(await group) == 20
        await one
    assert order.index("one") == 8


async def test_groups_are_compared_one_after_another_and_callers_take_turns(embedder: Embedder) -> None:
    begun, waiting, submitted, gate = list[str](), list[tuple[str, str]](), asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def grey(_: bytes, caller: str) -> AsyncIterator[WorkingCopy]:
        begun.append(caller)
        yield WorkingCopy(np.full((112, 92, 3), 90, np.uint8), (92, 112))

    class Waiting:
        async def submit(self, *_: Crop, deadline: float, caller: str, turns_as: str) -> None:  # noqa: ARG002
            waiting.append((caller, turns_as))
            submitted.set()
            await gate.wait()
            raise DeadlineExceededError

    with FinderPool(embedder.faces, 2) as finders:
        verifier = Verifier(embedder.manifest, Policy(embedder.manifest), grey, finders, Waiting(), Turns([1]))  # type: ignore[arg-type]
        asking = [asyncio.create_task(verifier.verify_all(b"1", b"2", caller=caller)) for caller in "aaab"]
        await submitted.wait()
        first = begun.copy()
        gate.set()
        await asyncio.gather(*asking, return_exceptions=True)
    assert first == ["a, a group"] * 2  # not behind the caller's other pictures: others wait for the place
    assert waiting[0] == ("a", "a, a group")  # but of the caller's share
    assert "".join(caller[0] for caller in begun) == "aaaabbaa"


class Late:
    """A batcher that notes until when the work must have begun, and whose it is."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, str]] = []

    async def submit(self, *_: Crop, deadline: float, caller: str) -> None:
        self.asked.append((deadline, caller))
        raise DeadlineExceededError


async def test_deadline_and_caller_go_with_the_crops(embedder: Embedder) -> None:
    @asynccontextmanager
    async def grey(_: bytes, __: str) -> AsyncIterator[WorkingCopy]:
        yield WorkingCopy(np.full((112, 92, 3), 90, np.uint8), (92, 112))

    late = Late()
    with FinderPool(embedder.faces, 2) as finders:
        verifier = Verifier(embedder.manifest, Policy(embedder.manifest), grey, finders, late, Turns([1]))  # type: ignore[arg-type]
        with pytest.raises(DeadlineExceededError):
            await verifier.verify(b"1", b"2", deadline=3.0, caller="a")
        with pytest.raises(DeadlineExceededError):
            await verifier.embed(b"1", deadline=4.0, caller="b")
    assert late.asked == [(3.0, "a"), (4.0, "b")]
