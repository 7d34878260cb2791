from typing import Any

import makers
import numpy as np
import torch
from numpy.typing import NDArray

from model.embedding.backbones import network
from model.embedding.resnet import block, resnet29
from model.engines.on_torch import Torch

Array = NDArray[np.float32]


def convolved(x: Array, weights: dict[str, torch.Tensor], name: str, stride: int, padding: int) -> Array:
    """(channels, h, w) -> (filters, h', w'), by loops over places."""
    weight, bias = (weights[f"b.{name}.{part}"].numpy() for part in ("weight", "bias"))
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    rows, columns = ((length - 3) // stride + 1 for length in x.shape[1:])
    found = np.empty((len(weight), rows, columns), np.float32)
    for i in range(rows):
        for j in range(columns):
            window = x[:, i * stride : i * stride + 3, j * stride : j * stride + 3]
            found[:, i, j] = (weight * window).sum(axis=(1, 2, 3)) + bias
    return found


def test_a_block_adds_what_it_was_given() -> None:
    layers, x = makers.Drawing(), torch.randn(1, 2, 5, 4)
    found, weights = block(layers, x, "b", 2, halve=False), layers.drawn
    inner = np.maximum(convolved(x[0].numpy(), weights, "conv1", 1, 1), 0)
    expected = np.maximum(convolved(inner, weights, "conv2", 1, 1) + x[0].numpy(), 0)
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-5)


def test_a_halving_block_pads_the_smaller_branch_with_zeros_at_the_end() -> None:
    layers, x = makers.Drawing(), torch.randn(1, 2, 8, 8)
    halved, weights = block(layers, x, "b", 3, halve=True), layers.drawn
    inner = np.maximum(convolved(x[0].numpy(), weights, "conv1", 2, 0), 0)
    found = convolved(inner, weights, "conv2", 1, 1)
    kept = x[0].numpy().reshape(2, 4, 2, 4, 2).mean(axis=(2, 4))
    assert (found.shape, kept.shape) == ((3, 3, 3), (2, 4, 4))
    expected = np.zeros((3, 4, 4), np.float32)
    expected[:, :3, :3] += found
    expected[:2] += kept
    np.testing.assert_allclose(halved[0].numpy(), np.maximum(expected, 0), atol=1e-5)


def test_the_network_is_dlibs_in_size_and_gives_unit_vectors(rng: np.random.Generator) -> None:
    weights = makers.drawn_weights("resnet29")
    filters = [array.size for name, array in weights.items() if name.endswith(".bias")]
    assert len(filters) == 29
    # The published file holds 5,614,592 values; its affine layers, two a filter, are folded away.
    assert sum(array.size for array in weights.values()) == 5_614_592 - 2 * sum(filters)
    run = Torch().load(network("resnet29", weights, makers.CROPS["resnet29"]))
    (embeddings,) = run(rng.integers(0, 256, (2, 3, 150, 150), dtype=np.uint8))
    assert embeddings.shape == (2, 128)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)


def test_pixels_are_brought_around_zero_inside() -> None:
    seen: list[torch.Tensor] = []

    class Seeing(makers.Drawing):
        def convolution(self, x: torch.Tensor, *given: Any, **options: Any) -> torch.Tensor:
            seen.append(x)
            return super().convolution(x, *given, **options)

    resnet29(Seeing(), torch.full((1, 3, 150, 150), 200, dtype=torch.uint8))
    expected = (200 - torch.tensor([122.782, 117.001, 104.298])) / 256
    torch.testing.assert_close(seen[0][0, :, 0, 0], expected)


def test_a_mirrored_network_cannot_tell_left_from_right(rng: np.random.Generator) -> None:
    weights, crop = makers.drawn_weights("resnet29"), makers.CROPS["resnet29"]
    one, both = (Torch().load(network("resnet29", weights, crop, mirrored=mirrored)) for mirrored in (False, True))
    crops = rng.integers(0, 256, (2, 3, 150, 150), dtype=np.uint8)
    (together,) = both(crops)
    flipped = np.ascontiguousarray(crops[..., ::-1])
    np.testing.assert_allclose(both(flipped)[0], together, atol=1e-6)
    total = one(crops)[0] + one(flipped)[0]
    np.testing.assert_allclose(together, total / np.linalg.norm(total, axis=1, keepdims=True), atol=1e-6)
