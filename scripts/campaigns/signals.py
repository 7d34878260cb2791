"""Kills decoder processes under load, and tells the service to end under load."""

import asyncio
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from campaigns.damaged_pictures import base
from campaigns.harness import Outcome, Run, fault_of
from service.http_client import Answer, Client, upload
from service.process import Running, serving

_CALLERS = 8
_LEEWAY_SECONDS = 0.1  # between a request and the signal: later ones may find the door closed
_EXIT_SECONDS = 25.0
_RESTART_SECONDS = 25.0
_TO_END = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def decoder_kills(seed: int, bundle_name: str) -> Iterator[Run]:
    """Each case kills one decoder process under load: that costs the request whose picture it had, and no other."""
    with serving(settings={"FACEPAIR_BUNDLE": bundle_name}) as service:
        yield lambda numbers: asyncio.run(_kill_all(service, seed, numbers))


async def _kill_all(service: Running, seed: int, numbers: Sequence[int]) -> Outcome:
    outcome, ended = Outcome(), asyncio.Event()
    callers = [asyncio.create_task(_call(service, seed, ended.is_set)) for _ in range(_CALLERS)]
    for number in numbers:
        rng = np.random.default_rng([seed, number])
        await asyncio.sleep(rng.uniform(0.05, 0.3))
        if decoders := await _decoders(service):
            os.kill(int(rng.choice(decoders)), signal.SIGKILL)
            outcome.counts["killed"] += 1
    ended.set()
    answers = [answer for answered in await asyncio.gather(*callers) for _, answer in answered]
    outcome.counts.update(_name(answer) for answer in answers)
    lost = [answer for answer in answers if answer.status != 200]
    if len(lost) > outcome.counts["killed"] or any(answer.code != "image_too_expensive" for answer in lost):
        outcome.faults.append(f"from case {numbers[0]}: {outcome.counts}")
    if outcome.counts["killed"] < len(numbers):
        outcome.faults.append(f"from case {numbers[0]}: there was no decoder process to kill")
    return outcome


async def _decoders(service: Running) -> list[int]:
    """The decoder processes that there are, once there is one: on a busy machine a new one takes its time."""
    end = time.monotonic() + _RESTART_SECONDS
    while not (decoders := service.workers()) and time.monotonic() < end:
        await asyncio.sleep(0.01)
    return decoders


@contextmanager
def terminations(seed: int, bundle_name: str) -> Iterator[Run]:
    """Each case tells a service under load to end: what it has admitted it finishes, and then it ends."""

    def run(numbers: Sequence[int]) -> Outcome:
        outcome = Outcome()
        for number in numbers:
            with serving(settings={"FACEPAIR_BUNDLE": bundle_name}) as service:
                asyncio.run(_terminate(service, seed, number, outcome))
        return outcome

    yield run


async def _terminate(service: Running, seed: int, number: int, outcome: Outcome) -> None:
    signalled = math.inf
    callers = [
        asyncio.create_task(_call(service, seed, lambda: time.monotonic() > signalled + _LEEWAY_SECONDS))
        for _ in range(_CALLERS)
    ]
    await asyncio.sleep(np.random.default_rng([seed, number]).uniform(0.3, 1.5))
    signalled = time.monotonic()
    service.process.send_signal(_TO_END[number % len(_TO_END)])
    answered = [pair for caller in callers for pair in await caller]
    try:
        code = await asyncio.to_thread(service.process.wait, _EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        outcome.faults.append(f"case {number}: no end after {_EXIT_SECONDS:g} s")
    else:
        outcome.counts[f"exit {code}"] += 1
        if code not in (0, -signal.SIGTERM):
            outcome.faults.append(f"case {number}: ended with {code}")
    for asked, answer in answered:
        outcome.counts[f"{'before' if asked < signalled else 'after'} the signal: {_name(answer)}"] += 1
        if asked < signalled - _LEEWAY_SECONDS and fault_of(answer):
            outcome.faults.append(f"case {number}: {_name(answer)}, {signalled - asked:.2f} s before the signal")


async def _call(service: Running, seed: int, ended: Callable[[], bool]) -> list[tuple[float, Answer]]:
    """Asks again and again; gives each answer with the time at which it was asked for."""
    answers: list[tuple[float, Answer]] = []
    request = upload("/verify", image1=base(seed, 0), image2=base(seed, 1))
    async with Client(service.address) as client:
        while not ended():
            asked = time.monotonic()
            answers.append((asked, await client.ask(request)))
    return answers


def _name(answer: Answer) -> str:
    return f"{answer.status} {answer.code}".strip()
