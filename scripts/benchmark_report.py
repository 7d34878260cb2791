"""The benchmark's figures as JSON, as a table beside their targets and as a plot; measures nothing.

Ratios are of figures from one round, and of these the median counts: rounds share whatever else the machine does.
"""

import os
import platform
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import torch
from matplotlib.figure import Figure


class Machine(msgspec.Struct, frozen=True):
    processor: str
    cores: int
    python: str
    torch: str

    @classmethod
    def here(cls) -> Self:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())
        return cls(name, os.cpu_count() or 1, platform.python_version(), str(torch.__version__))


class Figures(msgspec.Struct, frozen=True):
    """Of one closed loop. throughput: good answers a second; times, of the good ones, in milliseconds."""

    throughput: float
    p50: float
    p99: float
    failed: int
    stages: dict[str, float]
    client_share: float


class Round(msgspec.Struct, frozen=True):
    """`limit`: pairs a second in process; `pair`: milliseconds of one pair there; `callers`: the service by callers."""

    limit: dict[str, float]
    pair: float
    callers: dict[int, Figures]
    plain: Figures

    @property
    def saturated(self) -> float:
        """Good answers a second where more callers bring no more."""
        return max(figures.throughput for figures in self.callers.values())


class Overload(msgspec.Struct, frozen=True):
    """Of one open loop at so many `times` the capacity. Times in milliseconds; `neither`: not 200 and not 503."""

    times: int
    asked: int
    good: int
    refused: int
    neither: int
    goodput_share: float
    good_p99: float
    refused_p99: float
    client_share: float


class Results(msgspec.Struct, frozen=True):
    """`startup` in seconds; `megabytes` before and after; `large_jpeg`: seconds, as the service does it and in full."""

    machine: Machine
    side: int
    seconds: float
    rounds: list[Round]
    overloads: list[Overload]
    startup: float
    megabytes: tuple[float, float]
    large_jpeg: tuple[float, float]


def save(results: Results, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmark.json").write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    (folder / "benchmark.md").write_text(table(results), encoding="utf-8")
    plot(results).savefig(folder / "benchmark.svg")


def table(results: Results, beside: int = 16) -> str:
    """Each measure, what was found, and its target."""
    worst = max(results.overloads, key=lambda overload: overload.times)
    ours, large = results.large_jpeg
    rows = [
        ("throughput at saturation, of the limit in process", _ratio(results, _of_limit), "at least 0.90"),
        ("p50 of one caller, beyond the same work in process", _ratio(results, _beyond) + " ms", "at most 3 ms"),
        (
            f"throughput of {beside} callers, of the plain service's",
            _ratio(results, lambda each: each.callers[beside].throughput / each.plain.throughput), "at least 2",
        ),
        (
            f"p99 of {beside} callers, of the plain service's",
            _ratio(results, lambda each: each.callers[beside].p99 / each.plain.p99), "at most 0.5",
        ),
        ("JPEG of 12 megapixels, full decoding over ours", f"{large / ours:.1f}", "at least 4"),
        (f"goodput at {worst.times} times the capacity, of the capacity", f"{worst.goodput_share:.2f}", "at least 0.9"),
        (f"p99 of refusals at {worst.times} times the capacity", f"{worst.refused_p99:.0f} ms", "under 50 ms"),
        ("requests neither done nor refused under overload", str(sum(each.neither for each in results.overloads)), "0"),
        ("ready after the start", f"{results.startup:.1f} s", "3 s"),
    ]  # fmt: skip
    return "\n".join(["| measure | found | target |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])


def _of_limit(each: Round) -> float:
    return each.saturated / max(each.limit.values())


def _beyond(each: Round) -> float:
    return each.callers[1].p50 - each.pair


def _ratio(results: Results, of: Callable[[Round], float]) -> str:
    found = [of(each) for each in results.rounds]
    return f"{np.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


def plot(results: Results) -> Figure:
    figure = Figure(figsize=(10, 4), layout="constrained")
    closed, overload = figure.subplots(1, 2)
    callers = sorted(results.rounds[0].callers)
    closed.plot(callers, [_median(each.callers[n].throughput for each in results.rounds) for n in callers], "o-",
                label="service")  # fmt: skip
    limit = _median(max(each.limit.values()) for each in results.rounds)
    closed.axhline(limit, color="grey", linestyle="--", label="limit in process")
    closed.plot([16], [_median(each.plain.throughput for each in results.rounds)], "s", label="plain service")
    closed.set(title="/verify by callers", xlabel="callers at once", ylabel="answers a second", ylim=(0, None))
    overload.plot([each.times for each in results.overloads], [each.goodput_share for each in results.overloads], "o-")
    overload.axhline(0.9, color="grey", linestyle="--", label="target")
    overload.set(title="Overload, open loop", xlabel="requests, of the capacity", ylabel="goodput, of the capacity",
                 ylim=(0, 1.1))  # fmt: skip
    for axes in (closed, overload):
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    return figure


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))
