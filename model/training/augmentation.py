"""Degrades crops at random, as cameras, scanners and messengers do. It knows no network and no person."""

import io
from collections.abc import Callable
from typing import TypeAlias

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from model.faces.face import CropGeometry

Rng: TypeAlias = np.random.Generator
Pixels: TypeAlias = Tensor
"""float32 (N, 3, height, width), RGB of 0..1."""

Degradation: TypeAlias = Callable[[Pixels, Rng], Pixels]

WIDER = 16
"""Pixels that crops for training show beyond those for serving, on each side: room to shift, turn and zoom."""


def widened(geometry: CropGeometry) -> CropGeometry:
    return msgspec.structs.replace(
        geometry,
        height=geometry.height + 2 * WIDER,
        width=geometry.width + 2 * WIDER,
        landmarks=tuple((x + WIDER, y + WIDER) for x, y in geometry.landmarks or ()),
    )


def view(wide: NDArray[np.uint8], zoom: float, mirrored: bool) -> Tensor:
    """uint8 (N, 3, h, w) of wide crops (N, 3, h + 2 * WIDER, w + 2 * WIDER), all zoomed and mirrored alike."""
    count = len(wide)
    still = np.zeros((count, 2))
    pixels = torch.from_numpy(wide).float() / 255
    return _bytes(_moved(pixels, np.full(count, 1 / zoom), np.zeros(count), still, np.full(count, mirrored)))


def augmented(wide: NDArray[np.uint8], rng: Rng) -> Tensor:
    """uint8 (N, 3, h, w) of wide crops: moved a little, some mirrored, most degraded, each in its own way."""
    count = len(wide)
    some = (rng.random(count) < 0.7).astype(float)
    pixels = _moved(
        torch.from_numpy(wide).float() / 255,
        zoom=np.exp(some * rng.normal(0, 0.05, count)),
        angle=some * np.radians(rng.normal(0, 3, count)),
        shift=some[:, None] * rng.normal(0, 2, (count, 2)),
        mirrored=rng.random(count) < 0.5,
    )
    degraded = rng.random(count) < 0.6
    for degrade, share in _DEGRADATIONS.items():
        chosen = np.flatnonzero(degraded & (rng.random(count) < share))
        if len(chosen):
            pixels[chosen] = degrade(pixels[chosen], rng).clamp(0, 1)
    return _bytes(pixels)


def _moved(
    pixels: Pixels,
    zoom: NDArray[np.float64],
    angle: NDArray[np.float64],
    shift: NDArray[np.float64],
    mirrored: NDArray[np.bool_],
) -> Pixels:
    """Cuts out the middles of the wide crops. A zoom over 1 shows more, angles are radians, shifts pixels (N, 2)."""
    height, width = pixels.shape[2:]
    kept = np.array([(width - 2 * WIDER) / width, (height - 2 * WIDER) / height])
    cos, sin, side = zoom * np.cos(angle), zoom * np.sin(angle), np.where(mirrored, -1, 1)
    shift = shift * 2 / np.array([width, height])
    rows = [[cos * side * kept[0], -sin * kept[1], shift[:, 0]], [sin * side * kept[0], cos * kept[1], shift[:, 1]]]
    motion = torch.from_numpy(np.array(rows).transpose(2, 0, 1).astype(np.float32))
    size = [len(pixels), 3, height - 2 * WIDER, width - 2 * WIDER]
    grid = functional.affine_grid(motion, size, align_corners=False)
    return functional.grid_sample(pixels, grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(0, 1)


def _low_resolution(pixels: Pixels, rng: Rng) -> Pixels:
    return torch.cat([_resampled(crop[None], int(rng.integers(36, 120)), rng) for crop in pixels])


def _resampled(pixel: Pixels, side: int, rng: Rng) -> Pixels:
    down, up = rng.choice(["bilinear", "bicubic"], 2)
    small = functional.interpolate(pixel, (side, side), mode=down, antialias=True)
    return functional.interpolate(small, pixel.shape[2:], mode=up)


def _gamma(pixels: Pixels, rng: Rng) -> Pixels:
    return pixels ** _each(np.exp(rng.normal(0, 0.3, len(pixels))))


def _contrast_and_light(pixels: Pixels, rng: Rng) -> Pixels:
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    contrast, light = np.exp(rng.normal(0, 0.2, len(pixels))), rng.normal(0, 0.08, len(pixels))
    return (pixels - mean) * _each(contrast) + mean + _each(light)


def _tint(pixels: Pixels, rng: Rng) -> Pixels:
    return pixels * torch.from_numpy(1 + rng.normal(0, 0.06, (len(pixels), 3, 1, 1))).float()


def _grey(pixels: Pixels, _: Rng) -> Pixels:
    return pixels.mean(dim=1, keepdim=True).expand_as(pixels)


def _noise(pixels: Pixels, rng: Rng) -> Pixels:
    spread = rng.uniform(0, 0.05, len(pixels))
    return pixels + _each(spread) * torch.from_numpy(rng.standard_normal(pixels.shape, dtype=np.float32))


def _jpeg(pixels: Pixels, rng: Rng) -> Pixels:
    return torch.stack([_through_jpeg(crop, int(rng.integers(15, 85))) for crop in _bytes(pixels)]).float() / 255


def _through_jpeg(pixels: Tensor, quality: int) -> Tensor:
    buffer = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1)


_DEGRADATIONS: dict[Degradation, float] = {
    _low_resolution: 0.35,
    _gamma: 0.4,
    _contrast_and_light: 0.4,
    _tint: 0.1,
    _grey: 0.15,
    _noise: 0.15,
    _jpeg: 0.35,
}
"""What happens to a picture on its way, in this order, and to which share of those that are degraded."""


def _each(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).view(-1, 1, 1, 1)


def _bytes(pixels: Pixels) -> Tensor:
    return (pixels * 255).round().to(torch.uint8)
