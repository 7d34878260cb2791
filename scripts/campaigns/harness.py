"""Defines a campaign (cases in, an outcome out), and runs a service with a good client beside it."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from campaigns.damaged_pictures import base
from service.http_client import Answer, Client, upload
from service.process import Running, serving

from app.errors import ErrorKind

_GOOD_EVERY_SECONDS = 0.2
_AT_ONCE = 8
_KNOWN = {(kind.status, kind.code) for kind in ErrorKind if kind.status != 500}


@dataclass(frozen=True)
class Outcome:
    """The outcome of some cases: how often each answer came, and every fault with its case."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    megabytes: float | None = None


Run: TypeAlias = Callable[[Sequence[int]], Outcome]
Campaign: TypeAlias = Callable[[int, str], AbstractContextManager[Run]]
"""From a seed and a bundle to what runs the cases of these numbers."""


def fault_of(answer: Answer) -> str | None:
    """The fault of an answer, or None: it must be 200 or an error of the contract other than 500."""
    if answer.status == 200 or (answer.status, answer.code) in _KNOWN:
        return None
    return f"answered {answer.status} {answer.code}"


def ask_all(address: str, numbers: Sequence[int], ask: Callable[[Client, int, Outcome], Awaitable[None]]) -> Outcome:
    """`ask` for each number, a few at a time."""
    outcome, rest = Outcome(), iter(numbers)

    async def worker(client: Client) -> None:
        for number in rest:
            await ask(client, number, outcome)

    async def workers() -> None:
        async with Client(address) as client:
            await asyncio.gather(*(worker(client) for _ in range(_AT_ONCE)))

    asyncio.run(workers())
    return outcome


class GoodClient:
    """A client that keeps sending good requests while the campaign runs."""

    def __init__(self, service: Running) -> None:
        self._service = service
        self._request = upload("/verify", image1=base(1, 0), image2=base(1, 1))
        self._answers: list[Answer] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "GoodClient":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._ask())

    async def _ask(self) -> None:
        async with Client(self._service.address) as client:
            while not self._ended.is_set():
                self._answers.append(await client.ask(self._request))
                await asyncio.sleep(_GOOD_EVERY_SECONDS)

    def add_to(self, outcome: Outcome) -> Outcome:
        """Adds the good client's answers since the last call."""
        answers, self._answers = self._answers, []
        outcome.counts["answers to a good client"] += len(answers)
        outcome.faults.extend(
            f"a good client was {fault_of(answer) or 'refused: ' + answer.code}"
            for answer in answers
            if answer.status != 200
        )
        if not self._service.alive():
            outcome.faults.append("the service is dead")
        return outcome


@contextmanager
def troubled(bundle: str, run: Callable[[Running, Sequence[int]], Outcome]) -> Iterator[Run]:
    """Runs `run` on a service with this bundle, with a good client beside it that must always be served."""
    with serving(settings={"FACEPAIR_BUNDLE": bundle}) as service, GoodClient(service) as good:
        time.sleep(_GOOD_EVERY_SECONDS)
        yield lambda numbers: good.add_to(run(service, numbers))
