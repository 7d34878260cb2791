"""Who has to go where there are too many connections."""

from dataclasses import dataclass

from app.room import Room


@dataclass(eq=False)
class Visitor:
    shares_as: str
    waits_for_us: bool = False
    gone: bool = False

    def break_off(self) -> None:
        self.gone = True


def entered(room: Room, *addresses: str, of_many: bool = False) -> list[Visitor]:
    visitors = [Visitor(address) for address in addresses]
    for visitor in visitors:
        room.enter(visitor, of_many=of_many)
    return visitors


def gone(visitors: list[Visitor]) -> list[int]:
    return [number for number, visitor in enumerate(visitors) if visitor.gone]


def test_who_has_stood_still_the_longest_goes() -> None:
    room = Room(4)
    visitors = entered(room, "a", "b", "c", "d")
    room.touch(visitors[0])
    entered(room, "e", "f")
    assert gone(visitors) == [1, 2]


def test_one_address_has_a_share_unless_it_is_that_of_many() -> None:
    room = Room(4)
    visitors = entered(room, "b", "a", "a", "a", "a")
    assert gone(visitors) == [1]
    room = Room(4)
    assert gone(entered(room, "a", "a", "a", "a", of_many=True)) == []


def test_who_waits_for_us_stays_until_the_answer_is_there() -> None:
    room = Room(4)
    visitors = entered(room, "a", "b", "c", "d")
    visitors[0].waits_for_us = True
    room.touch(visitors[0])
    entered(room, "e")
    assert gone(visitors) == [1]
    visitors[0].waits_for_us = False
    room.touch(visitors[0])
    entered(room, "f", "g")
    assert gone(visitors) == [1, 2, 3]
    entered(room, "h", "i")
    assert gone(visitors) == [0, 1, 2, 3]


def test_a_newcomer_goes_where_all_others_wait_for_us() -> None:
    room = Room(4)
    visitors = entered(room, "a", "a", "a")
    for visitor in visitors:
        visitor.waits_for_us = True
        room.touch(visitor)
    assert gone([*visitors, *entered(room, "a")]) == [3]


def test_who_has_left_takes_no_room_and_leaves_nothing_behind() -> None:
    room = Room(4)
    visitors = entered(room, "a", "b", "c", "d")
    for visitor in visitors:
        room.leave(visitor)
        room.leave(visitor)  # a connection that was broken off is lost after that
        room.touch(visitor)
    assert gone([*visitors, *entered(room, "a", "a", "a")]) == []
    assert set(room._of) == set(room._may_go_of) == {"a"}
