"""Writes what was measured of Facepair and its peers as JSON, as a table and as a plot. It measures nothing."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from benchmarks.results import LoopFigures, Machine
from matplotlib.figure import Figure

from model.reports.markdown import table
from model.reports.readable_json import write_json


class Accuracy(msgspec.Struct, frozen=True):
    """On LFW's View 1. `unanswered`: pairs of the test list without a distance; they count as different."""

    accuracy: float
    fnmr: float
    unanswered: int


class Peer(msgspec.Struct, frozen=True):
    """One service. `faceless`, `hostile`: how often each answer came; `alive`: at the end.

    Its speed is measured apart. `rounds`: closed loops by callers; `first_answer`: seconds from the start; sizes in
    megabytes: resident after the load, and installed.
    """

    name: str
    accuracy: Accuracy
    faceless: dict[str, int]
    hostile: dict[str, int]
    alive: bool
    rounds: list[dict[int, LoopFigures]] = []
    first_answer: float = 0.0
    megabytes: float = 0.0
    installed: float = 0.0


class Peers(msgspec.Struct, frozen=True):
    """The first is the one that the others are compared with."""

    machine: Machine
    side: int
    peers: list[Peer]


def read(folder: Path) -> Peers:
    return msgspec.json.decode((folder / "peers.json").read_bytes(), type=Peers)


def save(results: Peers, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "peers.json", results)
    plot(results).savefig(folder / "peers.svg")


def summary(results: Peers) -> str:
    """A column a service, a row a measure."""
    rows = [
        *_by_callers(results, "pairs a second", lambda peer, n: f"{_median(peer, n, 'throughput'):.1f}"),
        *_by_callers(results, "Facepair's, of that", partial(_ratio, results.peers[0])),
        *_by_callers(
            results, "p50 and p99, ms", lambda peer, n: f"{_median(peer, n, 'p50'):.0f}, {_median(peer, n, 'p99'):.0f}"
        ),
        ["memory, MB", *_each(results, lambda peer: f"{peer.megabytes:.0f}")],
        ["first answer after the start, s", *_each(results, lambda peer: f"{peer.first_answer:.1f}")],
        ["installed, MB", *_each(results, lambda peer: f"{peer.installed:,.0f}")],
        ["LFW View 1, accuracy", *_each(results, lambda peer: f"{peer.accuracy.accuracy:.4f}")],
        ["LFW View 1, FNMR at FMR 0.01", *_each(results, lambda peer: f"{peer.accuracy.fnmr:.1%}".replace("%", " %"))],
        ["LFW View 1, pairs not answered", *_each(results, lambda peer: str(peer.accuracy.unanswered))],
        ["faceless pictures called the same", *_each(results, lambda peer: str(peer.faceless.get("same", 0)))],
        ["hostile uploads: faults or no answer", *_each(results, lambda peer: str(_faults(peer.hostile)))],
    ]  # fmt: skip
    return table(["measure", *(peer.name for peer in results.peers)], rows)


def _by_callers(results: Peers, measure: str, of: Callable[[Peer, int], str]) -> list[list[str]]:
    """A row for each number of callers."""
    return [
        [f"{measure}, {n} caller{'s' if n > 1 else ''}", *(of(peer, n) for peer in results.peers)]
        for n in results.peers[0].rounds[0]
    ]


def _each(results: Peers, of: Callable[[Peer], str]) -> list[str]:
    return [of(peer) for peer in results.peers]


def _median(peer: Peer, callers: int, figure: str) -> float:
    return float(np.median([getattr(one[callers], figure) for one in peer.rounds]))


def _ratio(ours: Peer, other: Peer, callers: int) -> str:
    """The median of the rounds' ratios, and the range."""
    ratios = [
        one[callers].throughput / two[callers].throughput for one, two in zip(ours.rounds, other.rounds, strict=True)
    ]
    return f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _faults(answers: Mapping[str, int]) -> int:
    """Statuses of 500 and more except 503, and what is no status: a connection that broke."""
    return sum(
        count for answer, count in answers.items()
        if answer != "same" and (not answer.isdecimal() or int(answer) >= 500) and answer != "503"
    )  # fmt: skip


def plot(results: Peers) -> Figure:
    figure = Figure(figsize=(10, 3.5), layout="constrained")
    speed, errors = figure.subplots(1, 2)
    callers = list(results.peers[0].rounds[0])
    for peer in results.peers:
        speed.plot(callers, [_median(peer, n, "throughput") for n in callers], "o-", label=peer.name)
    speed.set(title="/verify by callers", xlabel="callers at once", ylabel="pairs a second", ylim=(0, None))
    speed.grid(visible=True, alpha=0.3)
    speed.legend()
    names = [peer.name for peer in results.peers]
    errors.barh(names, [peer.accuracy.fnmr * 100 for peer in results.peers])
    errors.invert_yaxis()
    errors.set(title="LFW View 1: FNMR at FMR 0.01", xlabel="%")
    return figure
