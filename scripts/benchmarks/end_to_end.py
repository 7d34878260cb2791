"""Measures the service against its own pipeline, at up to ten times its capacity, and against the plainest service.

The client runs in a process of its own, on the same cores as the service.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import terminal
from benchmarks import in_process as limit
from benchmarks import report
from benchmarks.load import Load, Task, load
from benchmarks.results import LoopFigures, Machine, Overload, Results, Round
from benchmarks.stages import jpeg, spread
from service.http_client import upload
from service.process import PLAIN, Running, serving

from model import bundle
from model.embedding.embedder import Embedder
from model.faces.face import NoFaceFound, read_face

CALLERS = (1, 2, 8, 16, 32)
BESIDE_PLAIN = 16
OVERLOADS = (2, 5, 10)
_NOTHING = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


def run(options: argparse.Namespace) -> None:
    embedder = Embedder(bundle.load(bundle.find("default")))
    pictures = list(
        _with_a_face(embedder, [jpeg(path, options.side) for path in spread(options.data, options.pictures)])
    )
    pairs = list(zip(pictures, pictures[1:] + pictures[:1], strict=True))
    requests = [upload("/verify", image1=one, image2=two) for one, two in pairs]
    with ExitStack() as stack:
        ours, plain = stack.enter_context(serving()), stack.enter_context(serving(PLAIN))
        for warm in (ours, plain):
            load(Task(warm.address, requests, 2, callers=4))
        client_limit = load(Task(ours.address, [_NOTHING], 3, callers=max(CALLERS))).goodput
        before = ours.megabytes()
        progress = terminal.progress("round")
        rounds = [
            _round(ours, plain, embedder, pairs, requests, options.seconds) for _ in progress(range(options.rounds))
        ]
        overloads = [_overload(ours, requests, times, options.seconds, options.overload_seconds) for times in OVERLOADS]
        after = ours.megabytes()
    results = Results(
        machine=Machine.here(),
        side=options.side,
        seconds=options.seconds,
        rounds=rounds,
        overloads=overloads,
        startup=ours.startup,
        megabytes=(before, after),
        large_jpeg=limit.large_jpeg_seconds(pictures[0]),
        client_limit=client_limit,
    )
    report.save(results, options.out)
    print(report.summary(results))


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder of pictures a person")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"), help="folder for table, figures and plot")
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--side", type=int, default=500, help="side of the square pictures, in pixels")
    parser.add_argument(
        "--rounds", type=int, default=5, help="number of rounds; each measures everything except overload once"
    )
    parser.add_argument("--seconds", type=float, default=8, help="seconds of each measurement in a round")
    parser.add_argument("--overload-seconds", type=float, default=60)


def _with_a_face(embedder: Embedder, pictures: Sequence[bytes]) -> Iterator[bytes]:
    for picture in pictures:
        try:
            read_face(picture, embedder.faces)
        except NoFaceFound:
            continue
        yield picture


def _round(
    ours: Running,
    plain: Running,
    embedder: Embedder,
    pairs: Sequence[limit.Pair],
    requests: Sequence[bytes],
    seconds: float,
) -> Round:
    cores = Machine.here().cores

    def measured(service: Running, callers: int) -> LoopFigures:
        return figures(load(Task(service.address, requests, seconds, callers=callers)))

    return Round(
        limit.pairs_a_second(embedder, pairs, seconds, cores),
        limit.seconds_a_pair(embedder, pairs, cores) * 1000,
        {callers: measured(ours, callers) for callers in CALLERS},
        measured(plain, BESIDE_PLAIN),
    )


def figures(done: Load) -> LoopFigures:
    milliseconds = [answer.seconds * 1000 for answer in done.good]
    stages = {
        name: [answer.stages[name] for answer in done.good] for name in (done.good[0].stages if done.good else ())
    }
    return LoopFigures(
        throughput=done.goodput,
        p50=float(np.percentile(milliseconds, 50)),
        p99=float(np.percentile(milliseconds, 99)),
        failed=len(done.answers) - len(done.good),
        stages={name: float(np.median(values)) for name, values in stages.items()},
        client_share=done.client_share,
    )


def _overload(service: Running, requests: Sequence[bytes], times: int, aside: float, seconds: float) -> Overload:
    """The capacity is measured for `aside` seconds before and after: machines change by the minute."""

    def capacity() -> float:
        return load(Task(service.address, requests, aside, callers=BESIDE_PLAIN)).goodput

    before = capacity()
    done = load(Task(service.address, requests, seconds, rate=times * before))
    beside = (before + capacity()) / 2
    refused = [answer.seconds * 1000 for answer in done.answers if answer.code == "overloaded"]
    return Overload(
        times=times,
        asked=len(done.answers),
        good=len(done.good),
        refused=len(refused),
        neither=len(done.answers) - len(done.good) - len(refused),
        goodput_share=done.goodput / beside,
        good_p99=float(np.percentile([answer.seconds * 1000 for answer in done.good], 99)),
        refused_p99=float(np.percentile(refused, 99)) if refused else 0.0,
        client_share=done.client_share,
    )
