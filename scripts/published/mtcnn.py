"""The MTCNN weights inside the wheel of the PyPI package `mtcnn` 1.0.0; knows nothing of bundles."""

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array: TypeAlias = NDArray[np.float32]

WHEEL_SHA256 = "0a96b4868e56db9ae984449519642be6dba03240e608a67e928ebb47833e9144"

HEADS: Mapping[str, tuple[str, ...]] = {
    "pnet": ("box", "face"),
    "rnet": ("box", "face"),
    "onet": ("box", "points", "face"),
}
"""The layers that each network ends in, in the order of the wheel's files."""

JOINED = ("face", "box", "points")
"""Their order in the one `head` layer that they become: 1, 4 and 10 outputs."""


def read(wheel: Path) -> dict[str, Tensor]:
    """Tensors of `model.faces.cascade.Cascade`. Raises ValueError unless the file is the published wheel."""
    import joblib  # an extra that only this needs

    data = wheel.read_bytes()
    if hashlib.sha256(data).hexdigest() != WHEEL_SHA256:
        raise ValueError(f"{wheel} is not the wheel of mtcnn 1.0.0")  # before anything is unpickled
    tensors: dict[str, Tensor] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for network in HEADS:
            arrays = joblib.load(io.BytesIO(archive.read(f"mtcnn/assets/weights/{network}.lz4")))
            tensors |= {f"{network}.{name}": tensor for name, tensor in named(network, arrays)}
    return tensors


def named(network: str, arrays: Sequence[Array]) -> Iterator[tuple[str, Tensor]]:
    """One network's arrays, in the file's order, as the tensors of our layers."""
    heads = HEADS[network]
    layers = [*_body(arrays[: -2 * len(heads)]), *_head(heads, arrays[-2 * len(heads) :])]
    for name, array in layers:
        yield name, torch.from_numpy(np.ascontiguousarray(array))


def _body(arrays: Sequence[Array]) -> Iterator[tuple[str, Array]]:
    """Layers as the file holds them: weight, bias and the slopes of the PReLU that follows."""
    for number, start in enumerate(range(0, len(arrays), 3), start=1):
        weight, bias, slopes = arrays[start : start + 3]
        kind = "conv" if weight.ndim == 4 else "dense"
        yield f"{kind}{number}.weight", _for_torch(weight)
        yield f"{kind}{number}.bias", bias
        yield f"prelu{number}.weight", slopes.reshape(-1)


def _head(names: Sequence[str], arrays: Sequence[Array]) -> Iterator[tuple[str, Array]]:
    """The last layers as one."""
    layers = {name: (_for_torch(arrays[2 * i], flattened=False), arrays[2 * i + 1]) for i, name in enumerate(names)}
    # A softmax over (no face, face) is the sigmoid of their difference: one output says as much as two.
    layers["face"] = (np.diff(layers["face"][0], axis=0), np.diff(layers["face"][1]))
    yield "head.weight", np.concatenate([layers[name][0] for name in JOINED if name in layers])
    yield "head.bias", np.concatenate([layers[name][1] for name in JOINED if name in layers])


def _for_torch(weight: Array, flattened: bool = True) -> Array:
    """Height, width, in, out -> out, in, height, width; dense: in, out -> out, in.

    Where `flattened`, a dense layer's inputs are the last 3 x 3 convolution's outputs as (width, height, channels);
    PyTorch flattens (channels, height, width).
    """
    if weight.ndim == 4:
        return weight.transpose(3, 2, 0, 1)
    if flattened:
        return weight.reshape(3, 3, -1, weight.shape[1]).transpose(3, 2, 1, 0).reshape(weight.shape[1], -1)
    return weight.T
