"""Long work is done piece by piece: callers in turn, others in between."""

import asyncio

import pytest

from app.in_pieces import InPieces, Pieces

pytestmark = pytest.mark.anyio


def work(name: str, done: list[str], pieces: int = 3) -> Pieces[str]:
    for _ in range(pieces):
        yield
    done.append(name)
    return name


async def test_callers_take_turns_whatever_each_has_waiting() -> None:
    in_pieces, done = InPieces(), list[str]()
    asked = [("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("c1", "c")]
    results = await asyncio.gather(*(in_pieces.run(work(name, done), caller) for name, caller in asked))
    assert results == [name for name, _ in asked]
    assert done == ["a1", "a2", "b1", "c1", "a3"]


async def test_there_is_one_piece_at_a_time_however_much_waits() -> None:
    in_pieces, done, pieces = InPieces(), list[str](), list[int]()

    def counted() -> Pieces[None]:
        for _ in range(5):
            pieces[-1] += 1
            yield

    works = [asyncio.create_task(in_pieces.run(counted(), str(number))) for number in range(4)]
    while not all(each.done() for each in works):
        pieces.append(0)
        await asyncio.sleep(0)
    assert sum(pieces) == 20
    assert max(pieces) == 1
    assert not done


async def test_what_fails_or_is_cancelled_gives_its_turn_to_the_next() -> None:
    in_pieces, done = InPieces(), list[str]()

    def failing() -> Pieces[None]:
        yield
        raise KeyError

    endless = asyncio.create_task(in_pieces.run(work("endless", done, 10**9), "a"))
    fails = asyncio.create_task(in_pieces.run(failing(), "a"))
    waits = asyncio.create_task(in_pieces.run(work("waits", done), "a"))
    last = asyncio.create_task(in_pieces.run(work("last", done), "a"))
    await asyncio.sleep(0.01)
    endless.cancel()
    waits.cancel()
    with pytest.raises(KeyError):
        await fails
    assert await last == "last"
    assert done == ["last"]
