"""The backbones: uint8 crops in, float32 embeddings out; normalisation of pixels is part of each."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

from model.embedding.resnet import resnet29
from model.embedding.sface import sface
from model.embedding.tutorial import tutorial
from model.engines import Network, Weights
from model.engines.layers import Layers, Signal
from model.faces.face import CropGeometry
from model.manifest import BundleError

Backbone: TypeAlias = Callable[[Layers, Signal], Signal]

BACKBONES: Mapping[str, Backbone] = {"tutorial": tutorial, "resnet29": resnet29, "sface": sface}
"""The manifest's `backbone` names one of these."""


def network(backbone: str, weights: Weights, crop: CropGeometry, *, mirrored: bool = False) -> Network:
    """The named backbone with these weights. Raises BundleError for an unknown one.

    `mirrored`: crops and their mirror images are embedded together, for twice the work.
    """
    if backbone not in BACKBONES:
        raise BundleError(f"unknown backbone '{backbone}'")
    embed = BACKBONES[backbone]
    written = partial(_of_both if mirrored else _of_one, embed)
    return Network(written, weights, (crop.channels, crop.height, crop.width))


def _of_one(embed: Backbone, layers: Layers, crops: Signal) -> tuple[Signal]:
    return (embed(layers, crops),)


def _of_both(embed: Backbone, layers: Layers, crops: Signal) -> tuple[Signal]:
    straight, mirrored = layers.parted(embed(layers, layers.joined(crops, layers.flipped(crops))))
    return (layers.unit(layers.sum(straight, mirrored)),)
