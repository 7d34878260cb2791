"""Writes the benchmark's figures as JSON, as tables beside their targets, and as a plot. It measures nothing.

Each ratio is of two figures of one round, because rounds share whatever else the machine does. The median is reported.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from benchmarks.results import Results, Round
from matplotlib.figure import Figure

from model.reports.markdown import table
from model.reports.readable_json import write_json


def save(results: Results, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "benchmark.json", results)
    (folder / "benchmark.md").write_text(report(results), encoding="utf-8")
    plot(results).savefig(folder / "benchmark.svg")


def report(results: Results) -> str:
    """The whole report, in Markdown."""
    machine, before, after = results.machine, *results.megabytes
    asked, rounds, side = sum(run.asked for run in results.overloads), len(results.rounds), results.side
    return f"""# Benchmark

{machine.processor}, {machine.cores} cores, Python {machine.python}, {machine.engine}.
Two JPEGs of {side} x {side} pixels to /verify, sent by a process on the same cores. Median (range) of {rounds} rounds.

{summary(results)}

![Throughput by callers, goodput by load](benchmark.svg)

{callers_table(results)}

Stages are medians, of two pictures the slower one's; decode and detect include waiting for a process or thread.
The limit in process: {", ".join(f"{name}: {rate:.1f} a second" for name, rate in limits(results).items())}.
Memory: {before:.0f} MiB before the rounds, {after:.0f} MiB after them and {asked:,} requests of overload. The client by
itself gets {results.client_limit:.0f} answers a second where nothing is to be done.
"""


def limits(results: Results) -> dict[str, float]:
    return {name: _median(run.limit[name] for run in results.rounds) for name in results.rounds[0].limit}


def callers_table(results: Results) -> str:
    """Medians of the rounds, by the number of callers."""
    stages = list(next(iter(results.rounds[0].callers.values())).stages)
    rows = []
    for callers in results.rounds[0].callers:
        figures = [run.callers[callers] for run in results.rounds]
        middle = [_median(one_loop.throughput for one_loop in figures), _median(one_loop.p50 for one_loop in figures)]
        middle += [_median(one_loop.p99 for one_loop in figures)]
        middle += [_median(one_loop.stages[stage] for one_loop in figures) for stage in stages]
        rows.append([f"{callers}", *(f"{value:.1f}" for value in middle)])
    return table(["callers", "answers a second", "p50, ms", "p99, ms", *(f"{stage}, ms" for stage in stages)], rows)


def summary(results: Results, beside: int = 16) -> str:
    """Each measure with its figure and its target."""
    worst = max(results.overloads, key=lambda run: run.times)
    ours, large = results.large_jpeg
    rows = [
        ("throughput at saturation, of the limit in process", _ratio(results, _of_limit), "at least 0.90"),
        ("p50 of one caller, beyond the same work in process", _ratio(results, _beyond) + " ms", "at most 3 ms"),
        (
            f"throughput of {beside} callers, of the plain service's",
            _ratio(results, lambda run: run.callers[beside].throughput / run.plain.throughput), "at least 2",
        ),
        (
            f"p99 of {beside} callers, of the plain service's",
            _ratio(results, lambda run: run.callers[beside].p99 / run.plain.p99), "at most 0.5",
        ),
        ("JPEG of 12 megapixels, full decoding over ours", f"{large / ours:.1f}", "at least 4"),
        (f"goodput at {worst.times} times the capacity, of the capacity", f"{worst.goodput_share:.2f}", "at least 0.9"),
        (f"p99 of refusals at {worst.times} times the capacity", f"{worst.refused_p99:.0f} ms", "under 50 ms"),
        ("requests neither done nor refused under overload", str(sum(run.neither for run in results.overloads)), "0"),
        ("ready after the start", f"{results.startup:.1f} s", "3 s"),
    ]  # fmt: skip
    return table(["measure", "found", "target"], rows)


def _of_limit(run: Round) -> float:
    return run.saturated / max(run.limit.values())


def _beyond(run: Round) -> float:
    return run.callers[1].p50 - run.pair


def _ratio(results: Results, of: Callable[[Round], float]) -> str:
    ratios = [of(run) for run in results.rounds]
    return f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def plot(results: Results) -> Figure:
    figure = Figure(figsize=(10, 4), layout="constrained")
    closed, overload = figure.subplots(1, 2)
    callers = sorted(results.rounds[0].callers)
    closed.plot(callers, [_median(run.callers[n].throughput for run in results.rounds) for n in callers], "o-",
                label="service")  # fmt: skip
    limit = _median(max(run.limit.values()) for run in results.rounds)
    closed.axhline(limit, color="grey", linestyle="--", label="limit in process")
    closed.plot([16], [_median(run.plain.throughput for run in results.rounds)], "s", label="plain service")
    closed.set(title="/verify by callers", xlabel="callers at once", ylabel="answers a second", ylim=(0, None))
    overload.plot(
        [run.times for run in results.overloads],
        [run.goodput_share for run in results.overloads],
        "o-",
    )
    overload.axhline(0.9, color="grey", linestyle="--", label="target")
    overload.set(title="Overload, open loop", xlabel="requests, of the capacity", ylabel="goodput, of the capacity",
                 ylim=(0, None))  # fmt: skip
    for axes in (closed, overload):
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    return figure


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))
