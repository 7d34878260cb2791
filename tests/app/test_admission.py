"""Room: for whole requests, for bytes, for each caller; what stalls gives way. Time is what the test says it is."""

from contextlib import ExitStack

import numpy as np
import pytest

from app.admission import Admission, DrainingError, OverloadedError, Quota, RateLimitedError, Ticket


class Room(Admission):
    """An admission whose clock is `now`, and that notes who gave up."""

    def __init__(self, max_requests: int = 100, max_bytes: int = 100) -> None:
        super().__init__(max_requests, max_bytes, lambda: self.now)
        self.now = 0.0
        self.gave_up: list[str] = []
        self._stack = ExitStack()

    def enter(self, caller: str, declared: int = 0) -> Ticket:
        return self._stack.enter_context(self.admit(caller, declared, lambda: self.gave_up.append(caller)))

    def close(self) -> None:
        self._stack.close()


def fail_at_work(room: Room) -> None:
    with room.admit("anna", 0, lambda: None) as ticket:
        room.start_work(ticket)
        raise RuntimeError("a fault")


def test_what_ended_makes_room_however_it_ended() -> None:
    room = Room(max_requests=2)
    for caller in ("anna", "berta"):
        room.start_work(room.enter(caller))
    with pytest.raises(OverloadedError):
        room.enter("carla")
    room.close()
    assert room.in_flight == 0
    with pytest.raises(RuntimeError, match="a fault"):
        fail_at_work(room)
    assert room.in_flight == 0
    for caller in ("anna", "berta"):
        room.start_work(room.enter(caller))


def test_who_drains_lets_nobody_in() -> None:
    room = Room()
    room.draining = True
    with pytest.raises(DrainingError):
        room.enter("anna")


def test_uploads_that_bring_nothing_take_nothing_away() -> None:
    room = Room(max_requests=2)
    for _ in range(1000):
        room.enter("mallory", declared=70)
    room.charge(good := room.enter("anna", declared=70), 70)
    room.start_work(good)
    assert room.gave_up == []


def test_of_what_is_whole_no_more_is_worked_on_than_may_be() -> None:
    room = Room(max_requests=4)
    uploads = [room.enter(caller) for caller in ("anna", "berta", "carla", "dora", "emma")]
    for ticket in uploads[:4]:
        room.start_work(ticket)
    with pytest.raises(OverloadedError):
        room.start_work(uploads[4])


def test_what_is_answered_is_worked_on_no_more_and_never_stalls() -> None:
    room = Room(max_requests=1)
    room.charge(answered := room.enter("anna"), 60)
    room.start_work(answered)
    room.end_work(answered)
    room.now += 100
    room.charge(next_one := room.enter("berta"), 75)
    room.start_work(next_one)
    assert (room.in_flight, room.gave_up) == (2, [])
    room.close()
    assert room.in_flight == 0


def test_what_is_answered_before_it_is_whole_holds_nothing_and_never_gives_way() -> None:
    room = Room()
    room.charge(refused := room.enter("anna"), 60)
    room.end_work(refused)
    room.now += 100
    room.charge(room.enter("berta"), 1000)  # alone, any size
    assert (room.in_flight, room.gave_up) == (2, [])


def test_bytes_are_charged_as_they_come_and_what_was_declared_is_judged_before() -> None:
    room = Room()
    room.charge(room.enter("anna"), 60)
    with pytest.raises(OverloadedError):
        room.enter("berta", declared=41)
    room.charge(other := room.enter("berta", declared=3), 40)
    with pytest.raises(OverloadedError):
        room.charge(other, 1)  # more than it said, and more than there is
    room.close()
    room.charge(room.enter("anna"), 1000)  # alone, any size


def test_when_full_the_upload_that_stalled_longest_gives_way() -> None:
    room = Room()
    for second, caller in enumerate(("anna", "berta", "carla")):
        room.now = float(second)
        room.charge(room.enter(caller), 30)
    with pytest.raises(OverloadedError):
        room.enter("dora", declared=75)  # only two of them have stalled
    assert room.gave_up == ["anna", "berta"]
    room.charge(room.enter("dora"), 70)
    with pytest.raises(OverloadedError):
        room.charge(room.enter("emma"), 30)
    room.now = 3.0
    room.charge(late := room.enter("emma"), 30)
    assert room.gave_up == ["anna", "berta", "carla"]
    room.start_work(late)  # what is worked on does not give way, however long it takes
    room.now = 10
    room.charge(room.enter("fritz"), 70)
    assert room.gave_up[3:] == ["dora"]


def test_what_comes_of_an_upload_that_gave_way_is_refused() -> None:
    room = Room()
    room.charge(slow := room.enter("anna"), 75)
    room.now = 5
    room.charge(room.enter("berta"), 60)
    with pytest.raises(OverloadedError):
        room.charge(slow, 1)
    with pytest.raises(OverloadedError):
        room.start_work(slow)
    room.close()
    room.charge(room.enter("anna"), 40)
    room.charge(room.enter("berta"), 60)


def test_one_caller_cannot_take_all() -> None:
    room = Room(max_requests=4)
    for _ in range(3):
        room.start_work(room.enter("mallory"))
    with pytest.raises(OverloadedError):
        room.enter("mallory")
    room.start_work(room.enter("anna"))
    room.close()
    for _ in range(3):
        room.charge(room.enter("mallory"), 25)
    with pytest.raises(OverloadedError):
        room.charge(room.enter("mallory"), 1)
    room.charge(room.enter("anna"), 25)


def test_a_quota_is_a_minutes_worth_and_then_even() -> None:
    """Against counting: a stock of `per_minute`, refilled evenly."""
    rng, now, stock = np.random.default_rng(0), 0.0, 30.0
    quota = Quota(30, lambda: now)
    granted = 0
    for gap in rng.exponential(1.0, 2000):
        now, stock = now + gap, min(30, stock + gap / 2)
        if stock > 1 - 1e-6:
            quota.take("anna")
            granted, stock = granted + 1, stock - 1
            continue
        with pytest.raises(RateLimitedError) as caught:
            quota.take("anna")
        assert 0 <= caught.value.retry_after - (1 - stock) * 2 <= 1
    assert granted == pytest.approx(30 + now / 2, abs=2)
    quota.take("berta")


def test_the_memory_of_a_quota_is_bounded_by_the_callers_of_the_last_minute() -> None:
    now = 0.0
    quota = Quota(1, lambda: now)
    for number in range(100_000):
        quota.take(str(number))
    assert quota.remembered == 100_000  # each of them has used up something
    with pytest.raises(RateLimitedError):
        quota.take("99999")
    for now in range(61, 161):
        for number in range(2000):
            quota.take(f"{now}, {number}")
    assert quota.remembered <= 2 * 61 * 2000
    for now in range(161, 2161):
        for number in range(200):
            quota.take(f"{now}, {number}")
    assert quota.remembered <= 2 * 61 * 200  # and what a busy time left has gone
