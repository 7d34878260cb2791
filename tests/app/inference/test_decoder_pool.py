"""Decoding in child processes: what a lost child costs, who gets a turn, and what a child may not do to the service."""

import asyncio
import math
import mmap
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import makers
import numpy as np
import pytest
from PIL import Image

from app.inference import decoder_child
from app.inference.decoder_child import Child, LostError, NotBegunError, Server
from app.inference.decoder_pool import DecoderPool, DecodingTimeoutError, NoChildError
from app.inference.decoder_process import ANSWER, DECODED, REQUEST, ChildLimits
from app.inference.turns import Turns
from model.images import (
    CorruptImage,
    ImageLimits,
    TooExpensive,
    TooManyPixels,
    UnsupportedFormat,
    WorkingCopy,
    decode,
    working_copy,
)

pytestmark = pytest.mark.anyio
GOOD = makers.encoded(makers.face(1))
HEAVY = makers.encoded(Image.new("RGB", (2400, 2400)), "WEBP", lossless=True, method=0)
"""A few bytes that take long, and are let in."""


async def decoded(pool: DecoderPool, data: bytes, caller: str = "") -> WorkingCopy:
    async with pool.decoded(data, caller) as picture:
        return picture


async def pids(pool: DecoderPool) -> list[int]:
    return [(await place.child).pid for place in pool._places]


@pytest.fixture
async def pool() -> AsyncIterator[DecoderPool]:
    async with DecoderPool(ImageLimits(), processes=2) as running:
        await pids(running)
        yield running


@contextmanager
def stopped(*processes: int) -> Iterator[None]:
    """As a process looks that hangs."""
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    yield
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


def alive(process: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


async def test_a_child_gives_what_this_process_would(pool: DecoderPool) -> None:
    copy = await decoded(pool, GOOD)
    np.testing.assert_array_equal(copy.pixels, decode(GOOD))
    assert copy.size == (92, 112)
    large = makers.encoded(Image.fromarray(makers.face(1, width=2300, height=2800)), "JPEG")
    copy, here = await decoded(pool, large), working_copy(large)
    np.testing.assert_array_equal(copy.pixels, here.pixels)
    assert copy.size == here.size == (2300, 2800)


async def test_pixels_stay_as_they_are_when_the_next_picture_comes() -> None:
    async with DecoderPool(ImageLimits(), processes=1) as pool:
        first = await decoded(pool, GOOD)
        await decoded(pool, makers.encoded(makers.face(2)))
    np.testing.assert_array_equal(first.pixels, decode(GOOD))


async def test_what_is_wrong_with_a_picture_comes_back_by_name(pool: DecoderPool) -> None:
    with pytest.raises(CorruptImage):
        await decoded(pool, GOOD[:200])
    with pytest.raises(TooManyPixels):
        await decoded(pool, makers.encoded(Image.new("1", (9000, 9900))))
    with pytest.raises(TooManyPixels):  # for which a child has not the memory that Pillow's plug-in takes at once
        await decoded(pool, makers.bare_webp(16383, 16383))
    with pytest.raises(UnsupportedFormat):
        await decoded(pool, b"GIF89a")


async def test_children_are_small_and_confined(pool: DecoderPool) -> None:
    for pid in await pids(pool):
        await decoded(pool, GOOD)
        assert "torch" not in Path(f"/proc/{pid}/maps").read_text()
        assert resource.prlimit(pid, resource.RLIMIT_AS)[0] == 2**30
        assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
        assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "1000\n"  # the first to go where memory runs out


async def test_a_picture_that_takes_too_much_memory_is_too_expensive_not_damaged() -> None:
    async with DecoderPool(ImageLimits(), 1, ChildLimits(memory_bytes=300 * 2**20)) as pool:
        with pytest.raises(TooExpensive):
            await decoded(pool, makers.encoded(Image.new("RGBA", (5000, 5000)), compress_level=1))
        assert (await decoded(pool, GOOD)).size == (92, 112)


async def test_each_picture_has_its_own_processor_time() -> None:
    started = time.process_time()
    working_copy(HEAVY)
    enough = 4 * (time.process_time() - started)
    async with DecoderPool(ImageLimits(), 1, ChildLimits(cpu_seconds=enough, wall_seconds=60)) as pool:
        before = await pids(pool)
        for _ in range(6):
            await decoded(pool, HEAVY)
        assert await pids(pool) == before


async def test_a_picture_that_uses_up_its_processor_time_is_too_expensive_and_the_child_is_replaced() -> None:
    async with DecoderPool(ImageLimits(), 1, ChildLimits(cpu_seconds=0.02, wall_seconds=60)) as pool:
        before = await pids(pool)
        with pytest.raises(TooExpensive):
            await decoded(pool, HEAVY)
        assert (await decoded(pool, GOOD)).size == (92, 112)
        assert await pids(pool) != before


async def test_a_picture_whose_time_is_up_on_a_busy_machine_may_be_sent_again() -> None:
    async with DecoderPool(ImageLimits(), 1, ChildLimits(wall_seconds=0.2)) as pool:
        (child,) = await pids(pool)
        with stopped(child), pytest.raises(DecodingTimeoutError):
            await decoded(pool, GOOD)
        assert (await decoded(pool, GOOD)).size == (92, 112)
        await until(lambda: not alive(child))


@pytest.mark.parametrize(
    ("ended_by", "expected"),
    [(signal.SIGKILL, TooExpensive), (signal.SIGSEGV, CorruptImage)],
    ids=["as where the memory runs out", "as where a decoder crashes"],
)
async def test_a_child_that_dies_costs_one_picture_and_is_replaced(
    pool: DecoderPool, ended_by: signal.Signals, expected: type[Exception]
) -> None:
    children = await pids(pool)
    with stopped(*children):
        pictures = [asyncio.create_task(decoded(pool, GOOD)) for _ in range(10)]
        await until(lambda: all(place.working for place in pool._places))
        os.kill(children[0], ended_by)
        os.kill(children[0], signal.SIGCONT)
        await asyncio.wait(pictures[:1])
    fates = await asyncio.gather(*pictures, return_exceptions=True)
    assert [type(fate) for fate in fates] == [expected] + [WorkingCopy] * 9
    assert (await pids(pool))[1] == children[1]


async def test_children_that_are_killed_between_pictures_are_replaced_at_once_and_cost_none(pool: DecoderPool) -> None:
    children = await pids(pool)
    for child in children:
        os.kill(child, signal.SIGKILL)
    await until(lambda: not any(alive(child) for child in children))
    copies = await asyncio.gather(*(decoded(pool, GOOD) for _ in range(4)))
    assert [copy.size for copy in copies] == [(92, 112)] * 4
    assert not set(children) & set(await pids(pool))


async def test_a_lost_child_leaves_no_zombie_and_no_descriptor(pool: DecoderPool) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for _ in range(5):
        lost = (await pids(pool))[0]
        os.kill(lost, signal.SIGKILL)
        await until(lambda lost=lost: not alive(lost))  # type: ignore[misc]
        assert (await decoded(pool, GOOD)).size == (92, 112)
    await pids(pool)
    assert pool._server is not None
    await until(lambda: descriptors() == before and len(_below(pool._server.process.pid)) == 2)  # type: ignore[union-attr]


def _below(process: int) -> list[str]:
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


async def test_a_caller_that_leaves_takes_no_child_with_it(pool: DecoderPool) -> None:
    before = await pids(pool)
    with stopped(*before):
        leaving = [asyncio.create_task(decoded(pool, GOOD)) for _ in range(2)]
        await until(lambda: all(place.working for place in pool._places))
        for task in leaving:
            task.cancel()
        await asyncio.wait(leaving)
    assert (await decoded(pool, GOOD)).size == (92, 112)
    assert await pids(pool) == before


async def test_a_caller_that_leaves_before_its_turn_costs_no_work() -> None:
    async with DecoderPool(ImageLimits(), processes=1) as pool:
        child = await pool._places[0].child
        with stopped(child.pid):
            first = asyncio.create_task(decoded(pool, GOOD))
            leaving = [asyncio.create_task(decoded(pool, GOOD)) for _ in range(5)]
            await until(lambda: pool._places[0].working)
            for task in leaving:
                task.cancel()
            await asyncio.wait(leaving)
        await first
        await decoded(pool, GOOD)
        assert child._number == 3  # with the one that it was started with


async def test_callers_take_turns_however_many_pictures_one_has() -> None:
    async with DecoderPool(ImageLimits(), processes=1) as pool:
        (child,) = await pids(pool)
        order: list[str] = []

        async def ask(caller: str) -> None:
            await decoded(pool, GOOD, caller)
            order.append(caller)

        with stopped(child):
            asking = [asyncio.create_task(ask(caller)) for caller in "aaaaabbc"]
            await asyncio.sleep(0)
        await asyncio.gather(*asking)
    assert "".join(order) == "aabcabaa"


async def test_a_thing_given_to_a_caller_that_leaves_goes_to_the_next() -> None:
    turns = Turns([1])
    assert await turns.take("a") == 1
    leaving, staying = asyncio.create_task(turns.take("b")), asyncio.create_task(turns.take("c"))
    await asyncio.sleep(0)
    turns.give(1)
    leaving.cancel()  # when it is its turn, before it knows
    assert await staying == 1
    turns.give(1)
    assert turns.take_free() == 1
    assert turns.take_free() is None


async def test_a_child_decodes_no_other_picture_while_one_that_it_made_is_used() -> None:
    async with DecoderPool(ImageLimits(), processes=1) as pool:
        async with pool.decoded(GOOD):
            asking = asyncio.create_task(decoded(pool, GOOD, "b"))
            await asyncio.sleep(0)
            assert pool._turns.take_free() is None
            assert not pool._places[0].working
        assert (await asking).size == (92, 112)


async def test_light_pictures_never_wait_for_heavy_ones_alone(pool: DecoderPool) -> None:
    heavy = [asyncio.create_task(decoded(pool, HEAVY, f"caller {number}")) for number in range(6)]
    done_with_heavy = []
    for number in range(20):
        await decoded(pool, GOOD, f"other {number}")
        done_with_heavy.append(sum(task.done() for task in heavy))
    assert done_with_heavy[-1] <= 2
    assert [copy.size for copy in await asyncio.gather(*heavy)] == [(2400, 2400)] * 6


async def test_a_caller_that_leaves_a_heavy_picture_keeps_nobody_out(pool: DecoderPool) -> None:
    for seconds in (0.0, 0.02, 0.1, 0.2):
        leaving = [asyncio.create_task(decoded(pool, HEAVY)) for _ in range(3)]
        await asyncio.sleep(seconds)
        for task in leaving:
            task.cancel()
        await asyncio.wait(leaving)
    assert (await decoded(pool, HEAVY)).size == (2400, 2400)
    await until(lambda: not any(place.working for place in pool._places))
    assert sorted(pool._heavy_turns._free) == [0]


async def test_a_child_busy_within_its_time_is_alive(pool: DecoderPool) -> None:
    await pool.check()
    with stopped(*await pids(pool)):
        busy = [asyncio.create_task(decoded(pool, GOOD)) for _ in range(30)]
        await until(lambda: all(place.working for place in pool._places))
        async with asyncio.timeout(5):  # it is not in the queue of pictures
            await pool.check()
    await asyncio.gather(*busy)


async def test_an_idle_child_that_does_not_answer_is_found_and_replaced(pool: DecoderPool) -> None:
    hung = await pids(pool)
    for child in hung:
        os.kill(child, signal.SIGSTOP)
    with pytest.raises(NoChildError):
        await pool.check()
    await pool.check()
    await until(lambda: not any(alive(child) for child in hung))


async def test_a_decoder_that_hangs_takes_back_what_another_has_shown() -> None:
    async with DecoderPool(ImageLimits(), 2, ChildLimits(wall_seconds=0.2)) as pool:
        one, other = await pids(pool)
        await decoded(pool, GOOD)
        await decoded(pool, GOOD)
        with stopped(one, other):
            fates = await asyncio.gather(decoded(pool, GOOD), decoded(pool, GOOD), return_exceptions=True)
            assert [type(fate) for fate in fates] == [DecodingTimeoutError] * 2
        with stopped(*await pids(pool)), pytest.raises(NoChildError):
            await pool.check()  # what others answered a moment ago does not count
        await pool.check()


async def test_where_no_child_can_be_started_nothing_is_called_damaged_and_it_recovers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as without:
        without.setattr(sys, "executable", "/nowhere/python")
        async with DecoderPool(ImageLimits(), processes=2) as pool:
            for _ in range(3):
                with pytest.raises(NoChildError):
                    await decoded(pool, GOOD)
                with pytest.raises(NoChildError):
                    await pool.check()
            without.undo()
            assert (await decoded(pool, GOOD)).size == (92, 112)
            await pool.check()


async def test_where_children_end_as_soon_as_they_begin_none_is_ready() -> None:
    async with DecoderPool(ImageLimits(), 1, ChildLimits(memory_bytes=2**20)) as pool:
        with pytest.raises(NoChildError):
            await decoded(pool, GOOD)
        with pytest.raises(NoChildError):
            await pool.check()


async def test_a_child_that_is_killed_as_soon_as_it_begins_takes_no_server_with_it(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, unlucky = Child.ask, iter([True, True])

    async def ask_or_die(child: Child, *arguments: Any) -> WorkingCopy:
        # Only at its greeting: a picture may still go to the child that is being lost.
        if arguments[0] == b"" and next(unlucky, False):
            os.kill(child.pid, signal.SIGKILL)
            await until(lambda: not alive(child.pid))
            raise LostError
        return await ask(child, *arguments)

    assert pool._server is not None
    server = pool._server.process.pid
    lost = (await pids(pool))[0]
    monkeypatch.setattr(Child, "ask", ask_or_die)
    os.kill(lost, signal.SIGKILL)
    await until(lambda: not alive(lost))
    assert (await decoded(pool, GOOD)).size == (92, 112)
    await pids(pool)
    assert pool._server is not None
    assert pool._server.process.pid == server


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_server_that_is_lost_is_replaced_and_its_children_work_on(
    pool: DecoderPool, fault: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_child, "_REPLY_SECONDS", 2.0)
    assert pool._server is not None
    first, second = await pids(pool)
    lost = pool._server.process.pid
    os.kill(lost, fault)
    assert (await decoded(pool, GOOD)).size == (92, 112)
    os.kill(first, signal.SIGKILL)
    await until(lambda: pool._server is not None and pool._server.process.pid != lost)
    copies = await asyncio.gather(*(decoded(pool, GOOD) for _ in range(4)))
    assert [copy.size for copy in copies] == [(92, 112)] * 4
    assert second in await pids(pool)
    assert not alive(lost)


async def test_a_picture_whose_child_ended_for_an_unknown_reason_is_tried_again(pool: DecoderPool) -> None:
    """As where a machine's memory runs out and takes the server of the children as well."""
    assert pool._server is not None
    children = await pids(pool)
    with stopped(*children):
        pictures = [asyncio.create_task(decoded(pool, GOOD)) for _ in children]
        await until(lambda: all(place.working for place in pool._places))
        os.kill(pool._server.process.pid, signal.SIGKILL)
        for child in children:
            os.kill(child, signal.SIGKILL)
    copies = await asyncio.gather(*pictures)
    assert [copy.size for copy in copies] == [(92, 112)] * len(children)


async def test_children_and_their_server_end_with_the_service() -> None:
    code = (
        "import asyncio\n"
        "from app.inference.decoder_pool import DecoderPool, ImageLimits\n"
        "async def main():\n"
        "    async with DecoderPool(ImageLimits(), 2) as pool:\n"
        "        children = [(await place.child).pid for place in pool._places]\n"
        "        print(pool._server.process.pid, *children, flush=True)\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())"
    )
    service = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=makers.ROOT, text=True)
    assert service.stdout
    family = [int(pid) for pid in service.stdout.readline().split()]
    assert len(family) == 3
    assert all(map(alive, family))
    service.kill()
    service.communicate()
    await until(lambda: not any(map(alive, family)))


PLACES_FOR_FILES = ("/dev/shm", "/var/tmp")  # noqa: S108 - made unusable


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare")
def test_neither_a_full_disk_nor_missing_shared_memory_keeps_pictures_from_being_decoded() -> None:
    code = (
        "import asyncio, sys\n"
        "from app.inference.decoder_pool import DecoderPool, ImageLimits\n"
        "async def main():\n"
        "    async with DecoderPool(ImageLimits(), 2) as pool:\n"
        "        async with pool.decoded(sys.stdin.buffer.read()) as picture:\n"
        "            print(picture.size)\n"
        "asyncio.run(main())"
    )
    mounts = "".join(f"mount -t tmpfs -o size=4k,ro none {place} && " for place in PLACES_FOR_FILES)
    run = subprocess.run(
        ["unshare", "-m", "sh", "-c", mounts + 'exec "$@"', "sh", sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": ":".join(sys.path), "TMPDIR": PLACES_FOR_FILES[-1]}, cwd="/",
        input=GOOD, capture_output=True,
    )  # fmt: skip
    if b"unshare failed" in run.stderr or b"permission denied" in run.stderr:
        pytest.skip("no mount namespaces here")
    assert run.stdout == b"(92, 112)\n", run.stderr


@asynccontextmanager
async def taken_over() -> AsyncIterator[tuple[Child, socket.socket, int]]:
    """A child in a stranger's hands: its end of the channel, and the descriptor of the block."""
    process = subprocess.Popen(["sleep", "600"])
    ours, its = socket.socketpair()
    ours.setblocking(False)
    memory = decoder_child._memory(2**20)
    child = Child(process.pid, ours, mmap.mmap(memory, 0), ImageLimits())
    try:
        yield child, its, memory
    finally:
        child.end()
        its.close()
        os.close(memory)
        process.wait()


SMALL = (2, 3, 4, 6)


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER.pack(2, DECODED, *SMALL),  # of another picture
        ANSWER.pack(1, 99, *SMALL),
        ANSWER.pack(1, DECODED, *SMALL) + b"x",
        ANSWER.pack(1, DECODED, *SMALL)[:-1],
        ANSWER.pack(1, DECODED, 0, 3, 4, 6),
        ANSWER.pack(1, DECODED, 2, 3, 1, 6),  # larger than the picture
        ANSWER.pack(1, DECODED, 600, 600, 600, 600),  # larger than the block
        ANSWER.pack(1, DECODED, 2**31, 2**31, 2**31, 2**31),
        ANSWER.pack(1, DECODED, 2, 3, 2**16, 2**16),  # more pixels than are let in
        b"\x80\x04\x95",
        b"",
    ],
)
async def test_an_answer_of_any_other_form_is_no_answer(answer: bytes) -> None:
    async with taken_over() as (child, channel, _):
        asked = asyncio.create_task(child.ask(b"picture", math.inf, 60))
        await asyncio.sleep(0)
        assert REQUEST.unpack(channel.recv(REQUEST.size)) == (1, 7, math.inf)
        channel.send(answer) if answer else channel.close()
        with pytest.raises(LostError):
            await asked


async def test_the_same_child_answers_where_the_form_is_right() -> None:
    async with taken_over() as (child, channel, memory):
        asked = asyncio.create_task(child.ask(b"picture", math.inf, 60))
        await asyncio.sleep(0)
        os.pwrite(memory, bytes(range(18)), 0)
        channel.send(ANSWER.pack(1, DECODED, *SMALL))
        copy = await asked
        np.testing.assert_array_equal(copy.pixels, np.arange(18).reshape(2, 3, 3))
        assert copy.size == (6, 4)
        heavy = asyncio.create_task(child.ask(b"picture", 0.2, 60))
        await asyncio.sleep(0)
        channel.send(ANSWER.pack(2, 1, 0, 0, 0, 0))
        with pytest.raises(NotBegunError):
            await heavy


async def test_a_child_that_speaks_unasked_is_not_kept() -> None:
    async with taken_over() as (child, channel, _):
        ended = asyncio.Event()
        child.on_end = ended.set
        channel.send(b"x")
        async with asyncio.timeout(60):
            await ended.wait()


async def test_a_child_cannot_take_the_block_away_from_under_the_service() -> None:
    async with taken_over() as (_, _, memory):
        for size in (0, 2**22):
            with pytest.raises(PermissionError):
                os.ftruncate(memory, size)


async def test_a_server_that_speaks_nonsense_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    server = await Server.start(ImageLimits(), ChildLimits())
    try:
        monkeypatch.setattr(decoder_child, "_REPLY_SECONDS", 0.1)
        os.kill(server.process.pid, signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            await server.child(ImageLimits(), 2**20)
        assert await server.ended_by(os.getpid()) is None
    finally:
        server.close()
