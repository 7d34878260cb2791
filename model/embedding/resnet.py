"""The face ResNet of dlib; knows neither files nor training.

King, "High Quality Face Recognition with Deep Metric Learning" (2017): ResNet-34 (He et al., 2015) with fewer layers
and half the filters. dlib's affine layers, which followed each convolution, are folded into it.
"""

from model.engines.layers import Layers, Signal

_MEAN = (122.782, 117.001, 104.298)  # dlib's mean red, green and blue, of 0..255
_CHANNELS = (32, 32, 32, 64, 64, 64, 64, 128, 128, 128, 256, 256, 256, 256)
_HALVING = (3, 7, 10, 13)  # blocks that halve the side; all but the last also double the channels


def resnet29(layers: Layers, crops: Signal) -> Signal:
    """uint8 RGB (N, 3, 150, 150) -> float32 (N, 128) of unit length; 5.6 million parameters."""
    x = layers.convolution(layers.scaled(crops, _MEAN, 256), "stem", 32, 7, stride=2)
    x = layers.max_pool(layers.relu(x), 3, 2)
    for number, channels in enumerate(_CHANNELS):
        x = block(layers, x, f"blocks.{number}", channels, halve=number in _HALVING)
    return layers.unit(layers.dense(layers.mean(x), "head", 128, bias=False))


def block(layers: Layers, x: Signal, name: str, outputs: int, *, halve: bool) -> Signal:
    """(N, inputs, h, w) -> (N, outputs, h, w), or about half of h and w where it halves."""
    # dlib pads by half the filter where the stride is 1, and not at all where it is 2.
    stride, padding = (2, 0) if halve else (1, 1)
    found = layers.relu(layers.convolution(x, f"{name}.conv1", outputs, 3, stride=stride, padding=padding))
    found = layers.convolution(found, f"{name}.conv2", outputs, 3, padding=1)
    kept = layers.average_pool(x, 2) if halve else x
    if halve:
        found, kept = _widened(layers, found, like=kept), _widened(layers, kept, like=found)
    return layers.relu(layers.sum(found, kept))


def _widened(layers: Layers, x: Signal, like: Signal) -> Signal:
    """With zeros at the ends of channels, rows and columns where `like` has more, as dlib's `add_prev` does."""
    missing = [max(0, wanted - there) for wanted, there in zip(layers.shape(like), layers.shape(x), strict=True)]
    return layers.padded(x, *missing)
