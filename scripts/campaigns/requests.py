"""Sends damaged pictures, malformed requests, many people at once and a long day's work to a running service.

One campaign, `decode_in_process`, needs no service: it reads damaged pictures in this process, where a crash ends it.
"""

import asyncio
import json
import re
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from urllib.parse import urlsplit

import numpy as np
from campaigns.damaged_pictures import base, damaged
from campaigns.harness import Outcome, Run, ask_all, fault_of, troubled
from campaigns.malformed_requests import malformed
from service.http_client import Answer, Client, upload
from service.process import Running

from model import bundle
from model.embedding.embedder import Embedder, distances
from model.faces.face import read_face
from model.images import InvalidImage, working_copy

_CONNECTIONS = 32
_PATIENCE_SECONDS = 0.5
_TOLERANCE = 1e-5  # a batch of another size gives the last digits otherwise
_LEAST_ANSWERED = 0.9
_SLOW_SECONDS = 3.0
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@contextmanager
def decode_in_process(seed: int, _: str) -> Iterator[Run]:
    """Each case is decoded, or refused for one of the known reasons, soon."""

    def run(numbers: Sequence[int]) -> Outcome:
        outcome = Outcome()
        for number in numbers:
            data, started = damaged(seed, number), time.process_time()
            try:
                working_copy(data)
                outcome.counts["decoded"] += 1
            except InvalidImage as refusal:
                outcome.counts[type(refusal).__name__] += 1
            except Exception as error:
                outcome.faults.append(f"case {number}: {error!r}")
            if time.process_time() - started > _SLOW_SECONDS:
                outcome.faults.append(f"case {number} took {time.process_time() - started:.1f} s")
        return outcome

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of broken EXIF
        yield run


@contextmanager
def damaged_pictures(seed: int, bundle_name: str) -> Iterator[Run]:
    """Each case is an upload of a damaged picture, beside a sound one or alone."""

    async def ask(client: Client, number: int, outcome: Outcome) -> None:
        picture = damaged(seed, number)
        if number % 2:
            request = upload("/embed", image=picture)
        else:
            request = upload("/verify", image1=base(seed, 0), image2=picture)
        _note(outcome, number, await client.ask(request))

    with troubled(bundle_name, lambda service, numbers: ask_all(service.address, numbers, ask)) as run:
        yield run


@contextmanager
def malformed_requests(seed: int, bundle_name: str) -> Iterator[Run]:
    """Each case is a malformed request on a connection of its own: no 5xx, and none is carried out twice."""

    def run(service: Running, numbers: Sequence[int]) -> Outcome:
        return asyncio.run(_talk_all(service, seed, numbers))

    with troubled(bundle_name, run) as troubling:
        yield troubling


async def _talk_all(service: Running, seed: int, numbers: Sequence[int]) -> Outcome:
    outcome, rest = Outcome(), iter(numbers)

    async def worker() -> None:
        for number in rest:
            request = malformed(seed, number)
            statuses = [int(status) for status in _STATUS.findall(await _talk(service, request))]
            outcome.counts[" ".join(map(str, statuses)) or "closed, or nothing yet"] += 1
            if any(status >= 500 and status != 503 for status in statuses):
                outcome.faults.append(f"case {number}: answered {statuses}")
            if 200 in statuses and _is_doubtful(request):
                outcome.faults.append(f"case {number}: a body of doubtful length was read")
            if statuses.count(200) > max(1, len(re.findall(rb"(?:^|\n)[A-Z]+ /\S* HTTP/", request))):
                outcome.faults.append(f"case {number}: carried out {statuses.count(200)} times")

    await asyncio.gather(*(worker() for _ in range(_CONNECTIONS)))
    return outcome


def _is_doubtful(request: bytes) -> bool:
    """Whether a head declares its body's length in two ways, so that two readers may see two bodies."""
    head = request.partition(b"\r\n\r\n")[0].lower()
    return b"\r\ncontent-length:" in head and b"\r\ntransfer-encoding:" in head


async def _talk(service: Running, request: bytes) -> bytes:
    """Sends the request and reads until no more comes."""
    parts, answer = urlsplit(service.address), b""
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(request)
        patience = _PATIENCE_SECONDS
        while chunk := await asyncio.wait_for(reader.read(65536), patience):
            answer += chunk
            patience = _PATIENCE_SECONDS / 10
    except (OSError, TimeoutError):
        pass  # an incomplete request is answered by nothing, until the service has had enough of waiting
    finally:
        writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return answer


@contextmanager
def swapped_answers(seed: int, bundle_name: str) -> Iterator[Run]:
    """Each case compares two of many pictures; the distance must be that of these two, as this process measures it."""
    embedder = Embedder(bundle.load(bundle.find(bundle_name)))
    pictures = [base(seed, number) for number in range(64)]
    embeddings = embedder.embed([read_face(picture, embedder.faces).crop for picture in pictures])

    async def ask(client: Client, number: int, outcome: Outcome) -> None:
        one, two = np.random.default_rng([seed, number]).integers(len(pictures), size=2)
        answer = await client.ask(upload("/verify", image1=pictures[one], image2=pictures[two]))
        _note(outcome, number, answer)
        expected = float(distances(embeddings[one], embeddings[two]))
        if answer.status == 200 and abs((distance := json.loads(answer.body)["distance"]) - expected) > _TOLERANCE:
            outcome.faults.append(f"case {number}: {distance}, not {expected}")

    def run(service: Running, numbers: Sequence[int]) -> Outcome:
        outcome = ask_all(service.address, numbers, ask)
        if outcome.counts["200"] < _LEAST_ANSWERED * len(numbers):
            outcome.faults.append(f"from case {numbers[0]}: too few were answered to tell")
        return outcome

    with troubled(bundle_name, run) as troubling:
        yield troubling


@contextmanager
def soak(seed: int, bundle_name: str) -> Iterator[Run]:
    """A day's work: each case is an upload, one in four damaged; the memory is noted after each chunk."""

    async def ask(client: Client, number: int, outcome: Outcome) -> None:
        second = base(seed, number) if number % 4 else damaged(seed, number)
        answer = await client.ask(upload("/verify", image1=base(seed, 0), image2=second))
        _note(outcome, number, answer)

    def run(service: Running, numbers: Sequence[int]) -> Outcome:
        return replace(ask_all(service.address, numbers, ask), megabytes=service.megabytes())

    with troubled(bundle_name, run) as troubling:
        yield troubling


def _note(outcome: Outcome, number: int, answer: Answer) -> None:
    outcome.counts[f"{answer.status} {answer.code}".strip()] += 1
    if fault := fault_of(answer):
        outcome.faults.append(f"case {number}: {fault}")
