"""SFace's network; knows neither files nor training.

Zhong, Deng, Hu, Zhao, Li, Wen, "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition" (2021), on
MobileNet (Howard et al., 2017) with PReLU. The published batch norms are folded into the layers beside them.
"""

from model.engines.layers import Layers, Signal

_FIRST_CHANNELS = 32
_BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
    (1024, 2), (1024, 1),
)  # fmt: skip
"""Channels that each block gives, and the stride of its depthwise convolution."""


def sface(layers: Layers, crops: Signal) -> Signal:
    """uint8 RGB (N, 3, 112, 112) -> float32 (N, 128) of unit length; 9.6 million parameters."""
    x, channels = layers.scaled(crops, 127.5, 128), _FIRST_CHANNELS
    x = layers.prelu(layers.convolution(x, "layers.0.0", channels, 3, padding=1), "layers.0.1")
    for number, (outputs, stride) in enumerate(_BLOCKS):
        depthwise, pointwise = f"layers.{2 * number + 1}", f"layers.{2 * number + 2}"
        x = layers.convolution(x, f"{depthwise}.0", channels, 3, stride=stride, padding=1, depthwise=True)
        x = layers.prelu(x, f"{depthwise}.1")
        x = layers.prelu(layers.convolution(x, f"{pointwise}.0", outputs, 1), f"{pointwise}.1")
        channels = outputs
    return layers.unit(layers.dense(layers.flat(x), "head", 128))
