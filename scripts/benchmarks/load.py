"""Puts load on a service from a process of its own, in a closed or an open loop. It knows nothing of pictures.

Requests are bytes made beforehand, so that the client takes little of the processor that it shares with the service.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import msgspec
from service.http_client import Answer, Client


class Task(msgspec.Struct, frozen=True):
    """`callers`: so many, each asking again as soon as it is answered. Or `rate`: so many requests a second, whatever
    has become of those before."""

    address: str
    requests: Sequence[bytes]
    seconds: float
    callers: int = 0
    rate: float = 0.0


class Load(msgspec.Struct, frozen=True):
    """What came back, within how many seconds, and which share of a core the client itself took."""

    answers: list[Answer]
    seconds: float
    client_share: float

    @property
    def good(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status == 200]

    @property
    def goodput(self) -> float:
        """Good answers a second."""
        return len(self.good) / self.seconds


def load(task: Task) -> Load:
    """Does the task in another process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"], cwd=Path(__file__).parents[1],
        input=msgspec.msgpack.encode(task), stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return msgspec.msgpack.decode(done.stdout, type=Load)


async def _closed_loop(task: Task) -> list[Answer]:
    source, answers = cycle(task.requests), []
    end = time.perf_counter() + task.seconds

    async def call(client: Client) -> None:
        while time.perf_counter() < end:
            answers.append(await client.ask(next(source)))

    async with Client(task.address) as client:
        await asyncio.gather(*(call(client) for _ in range(task.callers)))
    return answers


async def _open_loop(task: Task) -> list[Answer]:
    source, started = cycle(task.requests), time.perf_counter()
    asked: list[asyncio.Task[Answer]] = []
    async with Client(task.address) as client:
        while (elapsed := time.perf_counter() - started) < task.seconds:
            due = int(elapsed * task.rate) - len(asked)
            asked += [asyncio.create_task(client.ask(next(source))) for _ in range(due)]
            await asyncio.sleep(0.005)
        return await asyncio.gather(*asked)


def main() -> None:
    task = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Task)
    started, worked = time.perf_counter(), time.process_time()
    answers = asyncio.run(_open_loop(task) if task.rate else _closed_loop(task))
    seconds = time.perf_counter() - started
    done = Load(answers, seconds, (time.process_time() - worked) / seconds)
    sys.stdout.buffer.write(msgspec.msgpack.encode(done))


if __name__ == "__main__":
    main()
