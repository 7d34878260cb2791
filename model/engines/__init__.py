"""What runs a network: PyTorch anywhere, OpenVINO on CPUs where it is installed; knows no network and no picture."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.engines.layers import Layers, Signal

EngineName: TypeAlias = Literal["auto", "torch", "openvino"]
"""`auto` is openvino where that is installed and the device is a CPU, else torch."""

Weights: TypeAlias = Mapping[str, NDArray[np.floating[Any]]]
"""A network's arrays by name, of any floating type; networks compute in float32."""

Run: TypeAlias = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], ...]]
"""N inputs, stacked, to each of the network's outputs for them, stacked. May be called from many threads."""


class EngineError(ValueError):
    """The engine or the device is not there."""


@dataclass(frozen=True)
class Network:
    """`forward` writes the network down in the layers of whatever runs it: from uint8 inputs (N, ...) to its outputs.

    `shape`: of one input without the batch; -1 where a side is open.
    """

    forward: Callable[[Layers, Signal], tuple[Signal, ...]]
    weights: Weights
    shape: tuple[int, ...]


class Engine(Protocol):
    """The seam."""

    def load(self, network: Network) -> Run:
        """Raises RuntimeError where weights or inputs do not fit the network."""


def engine(name: EngineName, device: str = "cpu", threads: int | None = None) -> Engine:
    """The named engine. `threads`: cores that a run computes on; None is all. Raises EngineError.

    Only the one that is chosen is imported: PyTorch takes seconds, and need not be installed where OpenVINO is.
    """
    if name == "openvino" and device != "cpu":
        raise EngineError(f"engine 'openvino' was asked for, but it does not run on device '{device}'")
    chosen = _chosen(name, device)
    if find_spec(chosen) is None:
        raise EngineError(f"engine '{chosen}' is needed, but it is not installed: pip install {chosen}")
    if chosen == "openvino":
        from model.engines.on_openvino import OpenVino

        return OpenVino(threads)
    from model.engines.on_torch import Torch

    return Torch(device, threads)


def _chosen(name: EngineName, device: str) -> str:
    if name != "auto":
        return name
    return "openvino" if device == "cpu" and find_spec("openvino") else "torch"
