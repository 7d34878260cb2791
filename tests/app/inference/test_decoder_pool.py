"""Decoding in child processes: what a lost child costs; large pictures are reduced without loss that counts."""

import asyncio
import os
import resource
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import bad_children
import makers
import numpy as np
import pytest
from PIL import Image
from service.drawn_faces import portrait

from app.inference import decoder_pool, decoder_process
from app.inference.decoder_pool import ChildLostError, Decoders
from app.inference.decoder_process import ChildLimits
from model import bundle
from model.embedding.embedder import Embedder, distances
from model.faces.face import read_face
from model.images import CorruptImage, ImageLimits, TooExpensive, TooManyPixels, decode, working_copy

pytestmark = pytest.mark.anyio
GOOD = makers.encoded(makers.face(1))


@pytest.fixture
async def decoders() -> AsyncIterator[Decoders]:
    with Decoders(ImageLimits(), processes=2) as running:
        await running.decode(GOOD)
        yield running


async def in_child(decoders: Decoders, work: Any, *arguments: Any) -> Any:
    return await asyncio.wrap_future(next(iter(decoders._pools)).schedule(work, args=arguments))


async def children(decoders: Decoders) -> set[int]:
    return {await asyncio.wrap_future(pool.schedule(os.getpid)) for pool in decoders._pools}


async def test_a_child_gives_what_this_process_would(decoders: Decoders) -> None:
    copy = await decoders.decode(GOOD)
    assert (copy.pixels == decode(GOOD)).all()
    assert copy.size == (92, 112)


async def test_children_are_small_and_confined(decoders: Decoders) -> None:
    assert await in_child(decoders, eval, "'torch' in __import__('sys').modules") is False
    with pytest.raises(MemoryError):
        await in_child(decoders, bytearray, 2 * 2**30)
    assert await in_child(decoders, resource.getrlimit, resource.RLIMIT_CORE) == (0, 0)


async def test_each_picture_has_its_own_processor_time() -> None:
    with Decoders(ImageLimits(), processes=1) as decoders:
        await in_child(decoders, bad_children.work, 0.5)
        await decoders.decode(GOOD)
        limit, used = await in_child(decoders, bad_children.processor_time)
    assert 5 - 0.2 < limit - used <= 5 + 1


async def test_a_caller_that_leaves_takes_no_child_with_it(decoders: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    before = await children(decoders)
    monkeypatch.setattr(decoder_process, "decode", bad_children.doze)
    leaving = [asyncio.create_task(decoders.decode(GOOD)) for _ in range(2)]
    await asyncio.sleep(0.2)
    for task in leaving:
        task.cancel()
    await asyncio.wait(leaving)
    monkeypatch.undo()
    await asyncio.sleep(1)
    assert (await decoders.decode(GOOD)).size == (92, 112)
    assert await children(decoders) == before


async def test_a_child_that_dies_costs_one_picture_and_is_replaced(
    decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_process, "decode", bad_children.die)
    lost = asyncio.create_task(decoders.decode(GOOD))
    await asyncio.sleep(0)
    monkeypatch.undo()
    neighbours = [decoders.decode(GOOD) for _ in range(8)]
    with pytest.raises(CorruptImage):
        await lost
    copies = await asyncio.gather(*neighbours)
    assert all((copy.pixels == decode(GOOD)).all() for copy in copies)


async def test_children_that_are_killed_between_pictures_are_replaced(decoders: Decoders) -> None:
    for number in await children(decoders):
        os.kill(number, signal.SIGKILL)
    fates = await asyncio.gather(*(decoders.decode(GOOD) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(fate, CorruptImage) for fate in fates) <= 2
    assert (await decoders.decode(GOOD)).size == (92, 112)


async def test_a_picture_that_takes_too_long_is_given_up_and_its_neighbour_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Decoders(ImageLimits(), 2, ChildLimits(wall_seconds=1)) as decoders:
        await decoders.decode(GOOD)
        monkeypatch.setattr(decoder_process, "decode", bad_children.hang)
        hanging = asyncio.create_task(decoders.decode(GOOD))
        await asyncio.sleep(0)
        monkeypatch.undo()
        assert (await decoders.decode(GOOD)).pixels.shape == (112, 92, 3)
        with pytest.raises(CorruptImage):
            await hanging
        assert (await decoders.decode(GOOD)).pixels.shape == (112, 92, 3)


async def test_it_is_told_where_no_child_answers(decoders: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    await decoders.check()
    monkeypatch.setattr(decoder_pool, "PROOF_SECONDS", -1)  # not even what was just done
    monkeypatch.setattr(decoder_process, "nothing", bad_children.die)
    with pytest.raises(ChildLostError):
        await decoders.check()
    monkeypatch.undo()
    await decoders.check()


async def test_what_is_wrong_with_a_picture_comes_back_by_name(decoders: Decoders) -> None:
    with pytest.raises(CorruptImage):
        await decoders.decode(GOOD[:200])
    with pytest.raises(TooManyPixels):
        await decoders.decode(makers.encoded(Image.new("1", (9000, 9900))))
    with pytest.raises(TooManyPixels):  # for which a child has not the memory that Pillow's plug-in takes at once
        await decoders.decode(makers.bare_webp(16383, 16383))


def test_a_jpeg_of_very_many_scans_is_refused_before_it_is_decoded() -> None:
    data = makers.encoded(np.repeat(makers.face(1)[..., np.newaxis], 3, axis=-1), "JPEG", progressive=True)
    start = data.index(b"\xff\xda")
    following = data.index(b"\xff\xda", start + 2)
    bomb = data[:start] + data[start:following] * 2000 + data[start:]
    started = time.process_time()
    with pytest.raises(TooExpensive):
        working_copy(bomb)
    assert time.process_time() - started < 0.5
    with pytest.raises(TooExpensive):
        working_copy(bomb[: len(bomb) // 2])  # which no decoder would take: it is not asked
    assert working_copy(data).pixels.shape == (112, 92, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(("side", "reduced"), [(1999, 1999), (2000, 1000), (4000, 1000)])
def test_only_large_pictures_are_reduced(kind: str, side: int, reduced: int) -> None:
    data = makers.encoded(Image.new("RGB", (side, side * 3 // 4), (90, 120, 150)), kind)
    copy = working_copy(data)
    assert max(copy.pixels.shape) == reduced
    assert copy.size == (side, side * 3 // 4)
    assert np.abs(copy.pixels.astype(int) - (90, 120, 150)).max() <= 3


def test_a_large_picture_on_its_side_is_known_by_its_upright_size() -> None:
    copy = working_copy(makers.turned(np.zeros((1000, 2000, 3), np.uint8), 6))
    assert copy.size == (2000, 1000)
    assert copy.pixels.shape == (500, 1000, 3)


@pytest.mark.slow
@pytest.mark.parametrize("side", [2000, 4096])
def test_reducing_moves_no_embedding_that_counts(side: int) -> None:
    embedder = Embedder(bundle.load(bundle.SHIPPED / "default"), threads=1)
    data = makers.encoded(portrait(2, size=side), "JPEG", quality=92)
    whole = decode(data)
    small, large = read_face(data, embedder.faces), embedder.faces.find(whole)
    first, second = embedder.embed([small.crop, large.crop])
    assert float(distances(first, second)) < 0.05  # strangers are told apart at 0.27 to 0.45
    assert np.abs(np.array([vars(small.box)[k] - vars(large.box)[k] for k in ("x", "y", "width")])).max() < side / 60
    assert small.quality.size_px == pytest.approx(large.quality.size_px, rel=0.03)
