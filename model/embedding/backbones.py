"""The backbones: uint8 crops in, float32 embeddings out; normalisation of pixels lives inside `forward`."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.embedding.resnet import ResNet29
from model.embedding.sface import SFace
from model.engines import run_torch
from model.manifest import BundleError


class TutorialNetwork(nn.Module):
    """The tutorial's base network: uint8 (N, 1, 56, 46) -> float32 (N, 50), not of unit length.

    Two 'valid' 3 x 3 convolutions (6, 12 filters), each with ReLU, 2 x 2 max pooling and dropout, then dense
    128 and 50. Initialised as Keras does (Glorot uniform, zero biases): with PyTorch's own initialisation the
    embeddings start so close together that training lags.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
            nn.Conv2d(6, 12, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
            nn.Flatten(),
            nn.Linear(12 * 12 * 10, 128), nn.ReLU(), nn.Dropout(0.1),
            nn.Linear(128, 50), nn.ReLU(),
        )  # fmt: skip
        self.apply(_glorot_uniform)

    def forward(self, crops: Tensor) -> Tensor:
        embeddings: Tensor = self.layers(crops.float() / 255)
        return embeddings


def _glorot_uniform(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


BACKBONES: Mapping[str, Callable[[], nn.Module]] = {
    "tutorial": TutorialNetwork,
    "resnet29": ResNet29,
    "sface": SFace,
}
"""The manifest's `backbone` names one of these."""


class Mirrored(nn.Module):
    """What a network says of crops and of their mirror images together: unit vectors; twice the work."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> Tensor:
        straight, mirrored = self.network(torch.cat([crops, crops.flip(3)])).chunk(2)
        return nn.functional.normalize(straight + mirrored)


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """The network's tensors, on the CPU and contiguous: what a bundle stores."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in network.state_dict().items()}


def build(backbone: str, weights: Mapping[str, Tensor], *, mirrored: bool = False) -> nn.Module:
    """The named backbone with these weights, of any floating type, ready to embed in float32.

    Raises BundleError for an unknown backbone and RuntimeError where names or shapes of tensors do not fit.
    """
    if backbone not in BACKBONES:
        raise BundleError(f"unknown backbone '{backbone}'")
    with torch.device("meta"):
        network = BACKBONES[backbone]()
    network.load_state_dict({name: tensor.float() for name, tensor in weights.items()}, strict=True, assign=True)
    # Channels last: a training step takes two thirds of the time, and embedding gains as well.
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return (Mirrored(network) if mirrored else network).eval()


def embed(network: nn.Module, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Embeddings of crops by PyTorch on the CPU in evaluation mode, for networks that are still in training."""
    return run_torch(network.eval(), crops)[0]
