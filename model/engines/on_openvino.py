"""Runs networks by OpenVINO on CPUs: their layers become a graph, which is compiled."""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.engines import Network, Run
from model.engines.layers import OfWeights
from model.engines.priority import give_way

# OpenVINO can do without its tools. To import them reports it to Google Analytics, and leaves an id in the home folder.
sys.modules["openvino.tools.ovc"] = None  # type: ignore[assignment]
from openvino import Core, Model  # noqa: E402
from openvino import opset13 as graph  # noqa: E402

Node: TypeAlias = Any
"""`openvino.Node`, which has no types."""


class OpenVino:
    """The network compiled for one input on one core; a run's inputs go side by side, each on a core.

    So nothing waits within an input, and one network serves batches of any size. Its arithmetic fuses what PyTorch
    does step by step; outputs agree to the sixth digit.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._core = Core()
        self._threads = threads or os.cpu_count() or 1
        self._options: dict[str, Any] = {
            "NUM_STREAMS": 1,  # and so computed in the thread that calls
            "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 on processors that have it: other distances
            "INFERENCE_NUM_THREADS": 1,
            "ENABLE_CPU_PINNING": False,  # other threads share the cores
        }

    def load(self, network: Network) -> Run:
        model = _graph_of(network)

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

        pool = ThreadPoolExecutor(self._threads, initializer=give_way) if self._threads > 1 else None

        def run(inputs: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
            results = pool.map(run_one, inputs) if pool and len(inputs) > 1 else map(run_one, inputs)
            return tuple(np.concatenate(parts) for parts in zip(*results, strict=True))

        return run


def _graph_of(network: Network) -> Any:
    layers, inputs = GraphLayers(network.weights), graph.parameter([1, *network.shape], np.uint8)
    outputs = network.forward(layers, inputs)
    layers.check_all_taken()
    return Model(list(outputs), [inputs])


class GraphLayers(OfWeights[NDArray[np.floating[Any]]]):
    """Adds each layer to a graph when it is written down."""

    def _constant(self, name: str, *shape: int, seen_as: Sequence[int] | None = None) -> Node:
        """`seen_as`: the shape that the graph's layer wants it in."""
        array = self._weight(name, *shape).astype(np.float32).reshape(seen_as or shape)
        return graph.constant(array, shared_memory=True)

    def convolution(
        self,
        x: Node,
        name: str,
        outputs: int,
        size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        depthwise: bool = False,
    ) -> Node:
        where = ([stride] * 2, [padding] * 2, [padding] * 2, [1, 1])
        if depthwise:
            weight = self._constant(f"{name}.weight", outputs, 1, size, size, seen_as=(outputs, 1, 1, size, size))
            found = graph.group_convolution(x, weight, *where)
        else:
            found = graph.convolution(x, self._constant(f"{name}.weight", outputs, _channels(x), size, size), *where)
        return graph.add(found, self._constant(f"{name}.bias", outputs, seen_as=(1, outputs, 1, 1)))

    def dense(self, x: Node, name: str, outputs: int, *, bias: bool = True) -> Node:
        found = graph.matmul(x, self._constant(f"{name}.weight", outputs, _channels(x)), False, True)
        return graph.add(found, self._constant(f"{name}.bias", outputs)) if bias else found

    def prelu(self, x: Node, name: str) -> Node:
        return graph.prelu(x, self._constant(f"{name}.weight", _channels(x)))

    def relu(self, x: Node) -> Node:
        return graph.relu(x)

    def dropout(self, x: Node, share: float) -> Node:  # noqa: ARG002 - nothing is trained here
        return x

    def max_pool(self, x: Node, size: int, stride: int, *, hang_over: bool = False) -> Node:
        rounding, none = "ceil" if hang_over else "floor", [0, 0]
        return graph.max_pool(x, [stride] * 2, [1, 1], none, none, [size] * 2, rounding).output(0)

    def average_pool(self, x: Node, size: int) -> Node:
        return graph.avg_pool(x, [size] * 2, [0, 0], [0, 0], [size] * 2, exclude_pad=True)

    def mean(self, x: Node) -> Node:
        return graph.reduce_mean(x, [2, 3])

    def sum(self, x: Node, y: Node) -> Node:
        return graph.add(x, y)

    def flat(self, x: Node) -> Node:
        return graph.reshape(x, [0, -1], special_zero=True)

    def unit(self, x: Node) -> Node:
        return graph.normalize_l2(x, [1], 1e-24, "max")

    def scaled(self, pixels: Node, middle: float | Sequence[float], scale: float) -> Node:
        middles = np.array(middle, np.float32).reshape(1, -1, 1, 1)
        return graph.divide(graph.subtract(graph.convert(pixels, "f32"), middles), np.float32(scale))

    def channels_first(self, pixels: Node) -> Node:
        return graph.transpose(pixels, [0, 3, 1, 2])

    def flipped(self, x: Node) -> Node:
        return graph.slice(x, [-1], [np.iinfo(np.int32).min], [-1], [3])

    def doubled(self, x: Node) -> Node:
        return graph.interpolate(x, np.array([2, 2], np.float32), "nearest", "scales", axes=[2, 3])

    def padded(self, x: Node, channels: int, rows: int, columns: int) -> Node:
        return graph.pad(x, [0, 0, 0, 0], [0, channels, rows, columns], "constant", np.float32(0))

    def shape(self, x: Node) -> tuple[int, int, int]:
        channels, rows, columns = (side.get_length() for side in _sides(x)[1:])
        return channels, rows, columns

    def joined(self, x: Node, y: Node) -> Node:
        return graph.concat([x, y], 0)

    def parted(self, x: Node) -> tuple[Node, Node]:
        first, second = graph.split(x, 0, 2).outputs()
        return first, second


def _sides(x: Node) -> Any:
    output = x.output(0) if hasattr(x, "output") else x
    return output.get_partial_shape()


def _channels(x: Node) -> int:
    """Of (N, channels, height, width), or the values of (N, values)."""
    found: int = _sides(x)[1].get_length()
    return found
