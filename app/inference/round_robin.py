"""What waits, one caller's after another's, whatever each has waiting; knows not what it is."""

from collections import deque
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class RoundRobin(Generic[Thing]):
    """A queue for each caller. It is true while anything waits."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Thing]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, caller: str, thing: Thing) -> None:
        self._waiting.setdefault(caller, deque()).append(thing)

    def next(self) -> Thing:
        """The first thing of the caller whose turn it is, who then comes behind all others."""
        caller = next(iter(self._waiting))
        things = self._waiting.pop(caller)
        thing = things.popleft()
        if things:
            self._waiting[caller] = things
        return thing
