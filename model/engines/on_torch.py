"""Runs networks by PyTorch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.engines import EngineError, Network, Run, Weights
from model.engines.layers import OfWeights

_OPEN = 64  # pixels along an open side of the input that a network is tried with
_BATCH = 256


class Torch:
    """The network as it is written."""

    def __init__(self, device: str = "cpu", threads: int | None = None) -> None:
        """Raises EngineError where there is no such device."""
        if device != "cpu" and not torch.cuda.is_available():
            raise EngineError(f"device '{device}' was asked for, but there is none on this machine")
        self._device, self._threads = device, threads

    def load(self, network: Network) -> Run:
        tensors = tensors_of(network.weights)
        _try(network, tensors)
        layers = TorchLayers({name: tensor.to(self._device) for name, tensor in tensors.items()})

        def run(inputs: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
            with computing_on(self._threads):
                return in_batches(lambda part: network.forward(layers, part), inputs, self._device)

        return run


def in_batches(
    compute: Callable[[Tensor], tuple[Tensor, ...]], inputs: NDArray[np.uint8], device: str = "cpu"
) -> tuple[NDArray[np.float32], ...]:
    """What `compute` gives for all inputs, stacked; a bounded number at a time, and nothing is kept for training."""
    with torch.inference_mode():
        results = [compute(part.to(device)) for part in torch.from_numpy(inputs).split(_BATCH)]
        return tuple(torch.cat(outputs).cpu().numpy() for outputs in zip(*results, strict=True))


@contextmanager
def computing_on(threads: int | None) -> Iterator[None]:
    """PyTorch in the calling thread computes on so many cores meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def tensors_of(weights: Weights) -> dict[str, Tensor]:
    """In float32, filters with the channels last: on a CPU that takes a half to two thirds of the time."""
    return {name: _channels_last(torch.from_numpy(array.astype(np.float32))) for name, array in weights.items()}


def _channels_last(tensor: Tensor) -> Tensor:
    # `contiguous` would leave filters of one channel as they are, and what follows would not have its channels last.
    return tensor.clone(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def _try(network: Network, tensors: Mapping[str, Tensor]) -> None:
    """Runs the network on shapes alone. Raises RuntimeError where they do not fit."""
    layers = TorchLayers({name: tensor.to("meta") for name, tensor in tensors.items()})
    sides = [_OPEN if side < 0 else side for side in network.shape]
    network.forward(layers, torch.empty(1, *sides, dtype=torch.uint8, device="meta"))
    layers.check_all_taken()


class TorchLayers(OfWeights[Tensor]):
    """Computes each layer when it is written down."""

    def __init__(self, weights: Mapping[str, Tensor], *, training: bool = False) -> None:
        super().__init__(weights)
        self._training = training

    def convolution(
        self,
        x: Tensor,
        name: str,
        outputs: int,
        size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        depthwise: bool = False,
    ) -> Tensor:
        groups = outputs if depthwise else 1
        weight = self._weight(f"{name}.weight", outputs, x.shape[1] // groups, size, size)
        return functional.conv2d(
            x, weight, self._weight(f"{name}.bias", outputs), stride, padding, dilation=1, groups=groups
        )

    def dense(self, x: Tensor, name: str, outputs: int, *, bias: bool = True) -> Tensor:
        weight = self._weight(f"{name}.weight", outputs, x.shape[1])
        return functional.linear(x, weight, self._weight(f"{name}.bias", outputs) if bias else None)

    def prelu(self, x: Tensor, name: str) -> Tensor:
        return functional.prelu(x, self._weight(f"{name}.weight", x.shape[1]))

    def relu(self, x: Tensor) -> Tensor:
        return functional.relu(x)

    def dropout(self, x: Tensor, share: float) -> Tensor:
        return functional.dropout(x, share, self._training)

    def max_pool(self, x: Tensor, size: int, stride: int, *, hang_over: bool = False) -> Tensor:
        return functional.max_pool2d(x, size, stride, ceil_mode=hang_over)

    def average_pool(self, x: Tensor, size: int) -> Tensor:
        return functional.avg_pool2d(x, size)

    def mean(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))

    def sum(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y

    def flat(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def unit(self, x: Tensor) -> Tensor:
        return functional.normalize(x)

    def scaled(self, pixels: Tensor, middle: float | Sequence[float], scale: float) -> Tensor:
        middles = torch.tensor(middle, device=pixels.device).view(-1, 1, 1)
        return ((pixels.float() - middles) / scale).contiguous(memory_format=torch.channels_last)

    def channels_first(self, pixels: Tensor) -> Tensor:
        return pixels.permute(0, 3, 1, 2)

    def flipped(self, x: Tensor) -> Tensor:
        return x.flip(3)

    def doubled(self, x: Tensor) -> Tensor:
        return functional.interpolate(x, scale_factor=2.0)

    def padded(self, x: Tensor, channels: int, rows: int, columns: int) -> Tensor:
        return functional.pad(x, (0, columns, 0, rows, 0, channels))

    def shape(self, x: Tensor) -> tuple[int, int, int]:
        channels, rows, columns = x.shape[1:]
        return channels, rows, columns

    def joined(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.cat([x, y])

    def parted(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = x.chunk(2)
        return first, second
