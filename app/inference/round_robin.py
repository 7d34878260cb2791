"""What waits, one caller's after another's, whatever each has waiting; knows not what it is."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class RoundRobin(Generic[Thing]):
    """A queue for each caller. It is true while anything waits."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Thing]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __iter__(self) -> Iterator[Thing]:
        """All that waits, each caller's in the order of its arrival."""
        return (thing for things in self._waiting.values() for thing in things)

    def add(self, caller: str, thing: Thing) -> None:
        self._waiting.setdefault(caller, deque()).append(thing)

    def keep(self, wanted: Callable[[Thing], bool]) -> None:
        """Drops everything else; whose turn it is stays as it was."""
        kept = {caller: deque(filter(wanted, things)) for caller, things in self._waiting.items()}
        self._waiting = {caller: things for caller, things in kept.items() if things}

    def first(self) -> Thing:
        """What `next` would give."""
        return next(iter(self._waiting.values()))[0]

    def next(self) -> Thing:
        """The first thing of the caller whose turn it is, who then comes behind all others."""
        caller = next(iter(self._waiting))
        things = self._waiting.pop(caller)
        thing = things.popleft()
        if things:
            self._waiting[caller] = things
        return thing
