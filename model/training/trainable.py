"""Networks as PyTorch's optimizers want them; knows no loss and no data."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from model.embedding.backbones import Backbone
from model.engines import Weights
from model.engines.on_torch import TorchLayers, in_batches, tensors_of


class Trainable(nn.Module):
    """A backbone whose weights are parameters: uint8 crops (N, ...) -> embeddings (N, size). It drops out in training.

    Its parameters are named as in a bundle.
    """

    def __init__(self, backbone: Backbone, weights: Weights) -> None:
        super().__init__()
        self._backbone = backbone
        for name, tensor in tensors_of(weights).items():
            home, _, own = name.rpartition(".")
            self._part(home).register_parameter(own, nn.Parameter(tensor))

    def _part(self, name: str) -> nn.Module:
        """PyTorch allows no dot in a parameter's own name."""
        part: nn.Module = self
        for step in filter(None, name.split(".")):
            if not hasattr(part, step):
                part.add_module(step, nn.Module())
            part = part.get_submodule(step)
        return part

    def forward(self, crops: Tensor) -> Tensor:
        embeddings: Tensor = self._backbone(TorchLayers(dict(self.named_parameters()), training=self.training), crops)
        return embeddings


def weights_of(network: nn.Module) -> dict[str, NDArray[np.float32]]:
    """A copy of the network's weights, as a bundle stores them."""
    return {name: tensor.to("cpu", copy=True).contiguous().numpy() for name, tensor in network.state_dict().items()}


def embed(network: nn.Module, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Embeddings of crops in evaluation mode."""
    network.eval()
    return in_batches(lambda part: (network(part),), crops)[0]
