"""Defines what the benchmark measures, as kept in JSON. It measures nothing."""

import os
import platform
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import msgspec


class Machine(msgspec.Struct, frozen=True):
    processor: str
    cores: int
    python: str
    engine: str
    """What runs the networks, and its version."""

    @classmethod
    def here(cls) -> Self:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())
        engine = "openvino" if find_spec("openvino") else "torch"
        return cls(name, os.cpu_count() or 1, platform.python_version(), f"{engine} {version(engine)}")


class LoopFigures(msgspec.Struct, frozen=True):
    """One closed loop. `throughput`: good answers a second; times of good answers are in milliseconds."""

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
    callers: dict[int, LoopFigures]
    plain: LoopFigures

    @property
    def saturated(self) -> float:
        """Good answers a second where more callers bring no more."""
        return max(figures.throughput for figures in self.callers.values())


class Overload(msgspec.Struct, frozen=True):
    """Of one open loop at so many `times` the capacity. Times in milliseconds; `neither`: let in and dropped, or
    answered otherwise."""

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
    """`startup` in seconds; `megabytes` before and after; `large_jpeg`: seconds, as the service does it and in full;
    `client_limit`: answers a second that the client gets where the service has nothing to do."""

    machine: Machine
    side: int
    seconds: float
    rounds: list[Round]
    overloads: list[Overload]
    startup: float
    megabytes: tuple[float, float]
    large_jpeg: tuple[float, float]
    client_limit: float
