"""The face ResNet of dlib as a PyTorch module; knows neither files nor training.

King, "High Quality Face Recognition with Deep Metric Learning" (2017): ResNet-34 (He et al., 2015) with fewer layers
and half the filters. dlib's affine layers, which followed each convolution, are folded into it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_MEAN = (122.782, 117.001, 104.298)  # dlib's mean red, green and blue, of 0..255
_SCALE = 256
_BLOCKS = (
    (32, 32), (32, 32), (32, 32),
    (32, 64), (64, 64), (64, 64), (64, 64),
    (64, 128), (128, 128), (128, 128),
    (128, 256), (256, 256), (256, 256), (256, 256),
)  # fmt: skip
_HALVING = (3, 7, 10, 13)  # blocks that halve the side; all but the last also double the channels


class ResNet29(nn.Module):
    """uint8 RGB (N, 3, 150, 150) -> float32 (N, 128) of unit length; 5.6 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, stride=2)
        self.blocks = nn.Sequential(*(Block(*sizes, halve=i in _HALVING) for i, sizes in enumerate(_BLOCKS)))
        self.head = nn.Linear(256, 128, bias=False)

    def forward(self, crops: Tensor) -> Tensor:
        mean = torch.tensor(_MEAN, device=crops.device).view(3, 1, 1)
        pixels = ((crops.float() - mean) / _SCALE).contiguous(memory_format=torch.channels_last)
        features = functional.max_pool2d(functional.relu(self.stem(pixels)), 3, stride=2)
        pooled = self.blocks(features).mean(dim=(2, 3))
        return functional.normalize(self.head(pooled))


class Block(nn.Module):
    """(N, inputs, h, w) -> (N, outputs, h, w), or about half of h and w where it halves."""

    def __init__(self, inputs: int, outputs: int, *, halve: bool) -> None:
        super().__init__()
        # dlib pads by half the filter where the stride is 1, and not at all where it is 2.
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=2 if halve else 1, padding=0 if halve else 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.halve = halve

    def forward(self, features: Tensor) -> Tensor:
        found = self.conv2(functional.relu(self.conv1(features)))
        kept = functional.avg_pool2d(features, 2) if self.halve else features
        if self.halve:
            found, kept = _widened(found, like=kept), _widened(kept, like=found)
        return functional.relu(found + kept)


def _widened(features: Tensor, like: Tensor) -> Tensor:
    """With zeros at the ends of channels, rows and columns where `like` has more, as dlib's `add_prev` does."""
    missing = [max(0, wanted - there) for wanted, there in zip(like.shape[1:], features.shape[1:], strict=True)]
    channels, rows, columns = missing
    return functional.pad(features, (0, columns, 0, rows, 0, channels))
