"""SFace's network as a PyTorch module; knows neither files nor training.

Zhong, Deng, Hu, Zhao, Li, Wen, "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition" (2021), on
MobileNet (Howard et al., 2017) with PReLU. The published batch norms are folded into the layers beside them.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_CHANNELS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
_SIDE = 7  # of the last features


class SFace(nn.Module):
    """uint8 RGB (N, 3, 112, 112) -> float32 (N, 128) of unit length; 9.6 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        layers = [_layer(3, _CHANNELS[0], 3)]
        for inputs, outputs, stride in zip(_CHANNELS[:-1], _CHANNELS[1:], _STRIDES, strict=True):
            layers += [_layer(inputs, inputs, 3, stride, groups=inputs), _layer(inputs, outputs, 1)]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(_CHANNELS[-1] * _SIDE**2, 128)

    def forward(self, crops: Tensor) -> Tensor:
        pixels = ((crops.float() - 127.5) / 128).contiguous(memory_format=torch.channels_last)
        return functional.normalize(self.head(self.layers(pixels).flatten(1)))


def _layer(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, groups=groups)
    return nn.Sequential(convolution, nn.PReLU(outputs))
