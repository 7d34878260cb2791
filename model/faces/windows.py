"""Square windows on a picture: which to keep, and what they show; knows nothing of networks."""

from functools import lru_cache
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Windows: TypeAlias = NDArray[np.float32]
"""Shape (N, 5): x1, y1, x2, y2 in pixels of the searched copy, then the score, 0..1."""

Pixels: TypeAlias = Tensor
"""float32 (1, 3, height, width), RGB of -1..1; 0 is grey."""


def best(windows: Windows, score: float, most: int, overlap: float, of_smaller: bool = False) -> NDArray[np.intp]:
    """The windows that score more than `score` and share no more than `overlap` with a better one; best first.

    The share is that of their union, or of the smaller one. At most the `most` best are compared at all.
    As in the package `mtcnn`, a window that is dropped still drops those that it overlaps: no loop is needed.
    """
    passed = np.flatnonzero(windows[:, 4] > score)
    order = passed[np.argsort(windows[passed, 4])[::-1][:most]]
    boxes = windows[order, :4]
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    whole = np.minimum(areas[:, None], areas) if of_smaller else areas[:, None] + areas - shared
    kept: NDArray[np.intp] = order[~np.triu(shared > overlap * whole, 1).any(axis=0)]
    return kept


def squared(windows: Windows) -> Windows:
    """Around the same centres, as long as the longer side."""
    lengths = windows[:, 2:4] - windows[:, :2]
    longest = lengths.max(axis=1, keepdims=True)
    low = windows[:, :2] + (lengths - longest) / 2
    return np.column_stack([low, low + longest, windows[:, 4]])


def shown(pixels: Pixels, windows: Windows, size: int) -> Tensor:
    """What N windows show: (N, 3, size, size), bilinear, grey beyond the picture, all in one call."""
    height, width = pixels.shape[2:]
    steps = np.linspace(0, 1, size, dtype=np.float32)
    x, y = (windows[:, i, None] + (windows[:, i + 2] - windows[:, i])[:, None] * steps for i in (0, 1))
    places = np.empty((len(windows), size, size, 2), np.float32)
    places[..., 0] = (2 * x / width - 1)[:, None, :]
    places[..., 1] = (2 * y / height - 1)[:, :, None]
    grid = torch.from_numpy(places).view(1, -1, size, 2)
    # Beyond the last pixel's centre the package sees grey; `grid_sample` by itself would fade over one pixel.
    sampled = functional.grid_sample(pixels, grid, align_corners=True) * (grid.abs() <= 1).all(dim=3)
    crops = sampled.view(3, len(windows), size, size).transpose(0, 1)
    return crops.contiguous(memory_format=torch.channels_last)


def shrunk(pixels: Pixels, scale: float) -> Tensor:
    """(1, 3, height * scale, width * scale): each pixel the mean of the area that it covers."""
    rows, columns = (_area_weights(length, int(length * scale)) for length in pixels.shape[2:])
    return (rows @ pixels @ columns.T).contiguous(memory_format=torch.channels_last)


@lru_cache(maxsize=128)
def _area_weights(length: int, fewer: int) -> Tensor:
    """(fewer, length): each row averages the pixels, and parts of pixels, that one new pixel covers."""
    edges = np.linspace(0, length, fewer + 1)[:, None]
    first = np.arange(length)
    covered = np.clip(np.minimum(edges[1:], first + 1) - np.maximum(edges[:-1], first), 0, None)
    return torch.from_numpy((covered * fewer / length).astype(np.float32))
