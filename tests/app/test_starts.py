"""A few requests begin each turn of the event loop, one address after the other."""

import asyncio

import pytest

from app.starts import A_TURN, Starts

pytestmark = pytest.mark.anyio


async def test_addresses_take_turns_and_each_turn_of_the_loop_begins_a_few() -> None:
    starts, begun = Starts(), list[str]()
    for name in ("a1", "a2", "a3", "b1", "c1", "b2"):
        starts.add(name[0], lambda name=name: begun.append(name))  # type: ignore[misc]
    assert begun == []
    for number in (A_TURN, 6):
        await asyncio.sleep(0)
        assert len(begun) == number
    assert begun == ["a1", "b1", "c1", "a2", "b2", "a3"]


async def test_what_comes_later_begins_too() -> None:
    starts, begun = Starts(), list[int]()
    for number in range(3):
        starts.add("a", lambda number=number: begun.append(number))  # type: ignore[misc]
        await asyncio.sleep(0)
    assert begun == [0, 1, 2]
