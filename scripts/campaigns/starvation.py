"""Campaign of starvation: what a good client gets beside each attack on the service that this process started.

The attack comes from a process of its own: in one event loop the good client would wait for the attacker rather than
the service.
"""

import asyncio
import json
import math
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from campaigns.attacks import Attack, Purse, attack
from campaigns.damaged_pictures import base
from campaigns.harness import Outcome, Run, fault_of
from service.http_client import Answer, Client, upload
from service.process import Running, serving

SECONDS = 60.0
COLUMNS = ("attack", "sent", "good client served", "its p50, p99", "alone", "memory", "`/readyz` within")
"""Of the name under which a case is counted, between semicolons."""
_EVERY_SECONDS = 0.2
_GROWTH_MB = 100.0 + 256.0  # beyond idle: what may be in flight, and as much as it costs to hold it
_READY_SECONDS = 1.0


@contextmanager
def starvation(seed: int, bundle_name: str, seconds: float = SECONDS) -> Iterator[Run]:
    """Each case is an attack beside a good client, which must be served; its p50 and p99 are counted as a name."""
    with serving(settings={"FACEPAIR_BUNDLE": bundle_name}) as service, _attacker() as attacker:
        alone = asyncio.run(_measure(service, seed, seconds))

        def run(numbers: Sequence[int]) -> Outcome:
            outcome = Outcome()
            for number in numbers:
                name, case = attack(seed, number)
                found = asyncio.run(_measure(service, seed, seconds, attacker, case))
                outcome.counts["; ".join([name, *found.cells(alone)])] += 1
                outcome.faults.extend(f"case {number}, {name}: {fault}" for fault in found.faults(alone))
            return outcome

        yield run


@dataclass(frozen=True)
class Measured:
    answers: Sequence[Answer]
    ready: Sequence[float]
    """Seconds until /readyz said yes, or infinity."""
    idle_mb: float
    most_mb: float
    sent_mb: float

    def quantile(self, share: float) -> float:
        return float(np.quantile([answer.seconds for answer in self.answers], share))

    def cells(self, alone: "Measured") -> list[str]:
        """As `COLUMNS` names them."""
        served = sum(answer.status == 200 for answer in self.answers)
        times = [f"{1000 * one.quantile(share):.0f}" for one in (self, alone) for share in (0.5, 0.99)]
        return [
            f"{self.sent_mb:,.1f} MB",
            f"{served} of {len(self.answers)}",
            f"{times[0]}, {times[1]} ms",
            f"{times[2]}, {times[3]} ms",
            f"{self.most_mb - self.idle_mb:+.0f} MiB",
            f"{1000 * max(self.ready, default=math.inf):.0f} ms",
        ]

    def faults(self, alone: "Measured") -> Iterator[str]:
        yield from (
            f"a good client: {fault_of(answer) or answer.code}" for answer in self.answers if answer.status != 200
        )
        if self.quantile(0.99) > 10 * alone.quantile(0.99):
            yield "p99 more than ten times that alone"
        if self.most_mb - self.idle_mb > _GROWTH_MB:
            yield "memory grew beyond what may be in flight"
        if max(self.ready, default=math.inf) > _READY_SECONDS:
            yield "not ready within a second"


@contextmanager
def _attacker() -> Iterator[Executor]:
    """A process that has loaded what attacking needs."""
    with ProcessPoolExecutor(1, get_context("spawn")) as attacker:
        attacker.submit(time.monotonic).result()
        yield attacker


def _carry_out(case: Attack, address: str, ends: float) -> int:
    """Bytes sent until then, by the clock that all processes share."""
    purse = Purse(ends)
    asyncio.run(case.run(address, purse))
    return purse.sent


async def _measure(
    service: Running, seed: int, seconds: float, attacker: Executor | None = None, case: Attack | None = None
) -> Measured:
    purse = Purse(time.monotonic() + seconds)
    idle = service.megabytes()
    sent = attacker.submit(_carry_out, case, service.address, purse.ends) if attacker and case else None
    asked = asyncio.create_task(_ask(service, seed, purse))
    ready, most = [], idle
    while purse.open:
        ready.append(await asyncio.to_thread(_ready, service.address))
        most = max(most, service.megabytes())
        await asyncio.sleep(_EVERY_SECONDS)
    answers = await asked
    return Measured(answers, ready, idle, most, (await asyncio.wrap_future(sent) if sent else 0) / 1e6)


async def _ask(service: Running, seed: int, purse: Purse) -> list[Answer]:
    request = upload("/verify", image1=base(seed, 0), image2=base(seed, 1))
    answers = []
    async with Client(service.address) as client:
        while purse.open:
            answers.append(await client.ask(request))
            await asyncio.sleep(_EVERY_SECONDS)
    return answers


def _ready(address: str) -> float:
    began = time.monotonic()
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=10) as answer:  # noqa: S310 - of this machine
            return time.monotonic() - began if json.load(answer)["status"] == "ok" else math.inf
    except (OSError, urllib.error.URLError):
        return math.inf
