"""What runs a network: PyTorch anywhere, OpenVINO on CPUs where it is installed; knows no network and no picture."""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

EngineName: TypeAlias = Literal["auto", "torch", "openvino"]
"""`auto` is openvino where that is installed and the device is a CPU, else torch."""

Run: TypeAlias = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], ...]]
"""N inputs, stacked, to each of the network's outputs for them, stacked. May be called from many threads."""

_OPEN = 64  # pixels along an open side of the input that a network is traced with


class EngineError(ValueError):
    """The engine or the device is not there."""


class Engine(Protocol):
    """The seam. `shape`: of one input without the batch; -1 where a side is open.

    Raises RuntimeError where the network takes no such input, at once or when it runs.
    """

    def load(self, network: nn.Module, shape: Sequence[int]) -> Run: ...


def engine(name: EngineName, device: str = "cpu", threads: int | None = None) -> Engine:
    """The named engine. `threads`: cores that a run computes on; None is all. Raises EngineError."""
    if device != "cpu" and not torch.cuda.is_available():
        raise EngineError(f"device '{device}' was asked for, but there is none on this machine")
    installed = find_spec("openvino") is not None
    if name == "openvino" and not installed:
        raise EngineError("engine 'openvino' was asked for, but it is not installed: pip install 'facepair[openvino]'")
    if name == "openvino" and device != "cpu":
        raise EngineError(f"engine 'openvino' was asked for, but it does not run on device '{device}'")
    if name == "torch" or not installed or device != "cpu":
        return Torch(device, threads)
    return OpenVino(threads)


class Torch:
    """The network as it is."""

    def __init__(self, device: str = "cpu", threads: int | None = None) -> None:
        self._device, self._threads = device, threads

    def load(self, network: nn.Module, shape: Sequence[int]) -> Run:  # noqa: ARG002 - it takes any
        network.to(self._device).eval()

        def run(inputs: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
            with _computing_on(self._threads):
                return run_torch(network, inputs, self._device)

        return run


@contextmanager
def _computing_on(threads: int | None) -> Iterator[None]:
    """PyTorch in the calling thread computes on so many cores meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class OpenVino:
    """The network compiled by OpenVINO for one input on one core; a run's inputs go side by side, each on a core.

    So nothing waits within an input, and one network serves batches of any size. Its arithmetic fuses what PyTorch
    does step by step; outputs agree to the sixth digit.
    """

    def __init__(self, threads: int | None = None) -> None:
        from openvino import Core  # an extra

        self._core = Core()
        self._threads = threads or os.cpu_count() or 1
        self._options: dict[str, Any] = {
            "NUM_STREAMS": 1,  # and so computed in the thread that calls
            "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 on processors that have it: other distances
            "INFERENCE_NUM_THREADS": 1,
            "ENABLE_CPU_PINNING": False,  # other threads share the cores
        }

    def load(self, network: nn.Module, shape: Sequence[int]) -> Run:
        model = _converted(network, shape)

        def compiled() -> Any:
            return self._core.compile_model(model, "CPU", self._options).create_infer_request()

        free = [compiled()]  # as many as ever ran at a time: runs of one compiled network wait for each other

        def run_one(one: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
            try:
                request = free.pop()
            except IndexError:
                request = compiled()
            outputs = tuple(request.infer([one[np.newaxis]]).values())
            free.append(request)
            return outputs

        pool = ThreadPoolExecutor(self._threads) if self._threads > 1 else None

        def run(inputs: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
            results = pool.map(run_one, inputs) if pool and len(inputs) > 1 else map(run_one, inputs)
            return tuple(np.concatenate(parts) for parts in zip(*results, strict=True))

        return run


def _converted(network: nn.Module, shape: Sequence[int]) -> Any:
    """The network as an `openvino.Model` for one input of this shape.

    By the frontend that OpenVINO's `convert_model` calls: that one also reports its use to Intel and traces twice.
    """
    from openvino import PartialShape
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    example = torch.zeros(1, *(_OPEN if side < 0 else side for side in shape), dtype=torch.uint8)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; constants become part of the trace
        traced = torch.jit.trace(network.eval(), example, check_trace=False)
    decoder = TorchScriptPythonDecoder(traced)
    frontend = FrontEndManager().load_by_framework("pytorch")
    model = frontend.convert(frontend.load(decoder))
    model.reshape(PartialShape([1, *shape]))
    return model


def run_torch(
    network: nn.Module, inputs: NDArray[np.uint8], device: str = "cpu", batch: int = 256
) -> tuple[NDArray[np.float32], ...]:
    """Runs the network by PyTorch as it is, `batch` inputs at a time."""
    with torch.inference_mode():
        results = [_tuple(network(part.to(device))) for part in torch.from_numpy(inputs).split(batch)]
        return tuple(torch.cat(parts).cpu().numpy() for parts in zip(*results, strict=True))


def _tuple(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
