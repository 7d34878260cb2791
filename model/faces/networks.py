"""The two networks that find faces and their landmarks; knows nothing of boxes or pictures."""

from model.engines import Engine, Network, Run, Weights
from model.engines.layers import Layers, Signal

STRIDES = (8, 16, 32)
"""Pixels between neighbouring cells of YuNet's three outputs."""
WINDOW = 48
"""Pixels along each side of what ONet looks at."""
_YUNET, _ONET = "yunet.", "onet."


def yunet(layers: Layers, pixels: Signal) -> tuple[Signal, Signal, Signal]:
    """Every face in a picture, coarsely.

    uint8 RGB (1, height, width, 3), sides multiples of 32, to three outputs (1, 16, height / stride,
    width / stride), one cell a place. The 16 values of a cell: logits of "a face" and "centred here"; the centre's x
    and y and the logarithms of width and height; x and y of the five landmarks. Lengths are in strides, places are
    counted from the cell.

    Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector" (2023), as OpenCV Zoo's face_detection_yunet_2023mar.
    The published batch norms are folded into the convolutions beside them.
    """
    x = layers.scaled(layers.channels_first(pixels), 0, 1)
    x = layers.relu(layers.convolution(x, "stem.0", 16, 3, stride=2, padding=1))
    x = _halved(layers, _unit(layers, x, "stem.2", 16))
    for number, outputs in enumerate((16, 32, 32, 64), start=4):
        x = _unit(layers, x, f"stem.{number}", outputs)
    fine = _stage(layers, _halved(layers, x), 0)
    middle = _stage(layers, _halved(layers, fine), 1)
    coarse = _unit(layers, _stage(layers, _halved(layers, middle), 2), "laterals.2", 64)
    middle = _unit(layers, layers.sum(middle, layers.doubled(coarse)), "laterals.1", 64)
    fine = _unit(layers, layers.sum(fine, layers.doubled(middle)), "laterals.0", 64)
    return (
        _pair(layers, fine, "heads.0", 16),
        _pair(layers, middle, "heads.1", 16),
        _pair(layers, coarse, "heads.2", 16),
    )


def _stage(layers: Layers, x: Signal, number: int) -> Signal:
    return _unit(layers, _unit(layers, x, f"stages.{number}.0", 64), f"stages.{number}.1", 64)


def _unit(layers: Layers, x: Signal, name: str, outputs: int) -> Signal:
    return layers.relu(_pair(layers, x, name, outputs))


def _pair(layers: Layers, x: Signal, name: str, outputs: int) -> Signal:
    """A pointwise and a depthwise convolution."""
    x = layers.convolution(x, f"{name}.0", outputs, 1)
    return layers.convolution(x, f"{name}.1", outputs, 3, padding=1, depthwise=True)


def _halved(layers: Layers, x: Signal) -> Signal:
    return layers.max_pool(x, 2, 2)


def onet(layers: Layers, pixels: Signal) -> tuple[Signal]:
    """The landmarks of one face, finely.

    uint8 RGB (N, 48, 48, 3) of square windows to (N, 15): logit of a face; how far x1, y1, x2, y2 should move; x of
    the five landmarks, then their y. Lengths are shares of the window's.

    Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks" (2016), with the
    layers of the PyPI package `mtcnn` 1.0.0.
    """
    x = layers.scaled(layers.channels_first(pixels), 127.5, 128)
    x = layers.prelu(layers.convolution(x, "conv1", 32, 3), "prelu1")
    x = layers.max_pool(x, 3, 2, hang_over=True)
    x = layers.prelu(layers.convolution(x, "conv2", 64, 3), "prelu2")
    x = layers.max_pool(x, 3, 2)
    x = layers.prelu(layers.convolution(x, "conv3", 64, 3), "prelu3")
    x = layers.max_pool(x, 2, 2)
    x = layers.prelu(layers.convolution(x, "conv4", 128, 2), "prelu4")
    x = layers.prelu(layers.dense(layers.flat(x), "dense5", 256), "prelu5")
    return (layers.dense(x, "head", 15),)


def loaded(weights: Weights, engine: Engine) -> tuple[Run, Run]:
    """YuNet and ONet on an engine; a bundle's file holds the weights of both.

    Raises RuntimeError where names or shapes of weights do not fit.
    """
    of_onet = {name.removeprefix(_ONET): array for name, array in weights.items() if name.startswith(_ONET)}
    of_yunet = {name.removeprefix(_YUNET): array for name, array in weights.items() if not name.startswith(_ONET)}
    return (
        engine.load(Network(yunet, of_yunet, (-1, -1, 3))),
        engine.load(Network(onet, of_onet, (WINDOW, WINDOW, 3))),
    )
