"""The two networks that find faces and their landmarks; knows nothing of boxes or pictures."""

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.engines import Engine, Run

STRIDES = (8, 16, 32)
"""Pixels between neighbouring cells of YuNet's three outputs."""
WINDOW = 48
"""Pixels along each side of what ONet looks at."""


class YuNet(nn.Module):
    """Every face in a picture, coarsely.

    float32 RGB of 0..255 (1, 3, height, width), sides multiples of 32, to three outputs (1, 16, height / stride,
    width / stride), one cell a place. The 16 values of a cell: logits of "a face" and "centred here"; the centre's x
    and y and the logarithms of width and height; x and y of the five landmarks. Lengths are in strides, places are
    counted from the cell.

    Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector" (2023), as OpenCV Zoo's face_detection_yunet_2023mar.
    The published batch norms are folded into the convolutions beside them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU(inplace=True),
            _unit(16, 16), nn.MaxPool2d(2),
            _unit(16, 16), _unit(16, 32), _unit(32, 32), _unit(32, 64), nn.MaxPool2d(2),
        )  # fmt: skip
        self.stages = nn.ModuleList(nn.Sequential(_unit(64, 64), _unit(64, 64)) for _ in STRIDES)
        self.laterals = nn.ModuleList(_unit(64, 64) for _ in STRIDES)
        self.heads = nn.ModuleList(_unit(64, 16)[:-1] for _ in STRIDES)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine = self.stages[0](self.stem(pixels))
        middle = self.stages[1](functional.max_pool2d(fine, 2))
        coarse = self.laterals[2](self.stages[2](functional.max_pool2d(middle, 2)))
        middle = self.laterals[1](middle + functional.interpolate(coarse, scale_factor=2.0))
        fine = self.laterals[0](fine + functional.interpolate(middle, scale_factor=2.0))
        return self.heads[0](fine), self.heads[1](middle), self.heads[2](coarse)


class ONet(nn.Sequential):
    """The landmarks of one face, finely.

    float32 RGB of -1..1 (N, 3, 48, 48) of square windows to (N, 15): logit of a face; how far x1, y1, x2, y2 should
    move; x of the five landmarks, then their y. Lengths are shares of the window's.

    Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks" (2016), with the
    layers of the PyPI package `mtcnn` 1.0.0.
    """

    def __init__(self) -> None:
        super().__init__(OrderedDict(
            conv1=nn.Conv2d(3, 32, 3), prelu1=nn.PReLU(32), pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
            conv2=nn.Conv2d(32, 64, 3), prelu2=nn.PReLU(64), pool2=nn.MaxPool2d(3, 2),
            conv3=nn.Conv2d(64, 64, 3), prelu3=nn.PReLU(64), pool3=nn.MaxPool2d(2),
            conv4=nn.Conv2d(64, 128, 2), prelu4=nn.PReLU(128), flat=nn.Flatten(),
            dense5=nn.Linear(128 * 3 * 3, 256), prelu5=nn.PReLU(256), head=nn.Linear(256, 15),
        ))  # fmt: skip


class FaceNetworks(nn.Module):
    """Both, as a bundle's file of detector weights holds them."""

    def __init__(self) -> None:
        super().__init__()
        self.yunet = YuNet()
        self.onet = ONet()

    def loaded(self, engine: Engine) -> tuple[Run, Run]:
        """YuNet and ONet on an engine, from pixels: uint8 RGB (N, height, width, 3)."""
        yunet = engine.load(FromPixels(self.yunet, 0, 1), (-1, -1, 3))
        return yunet, engine.load(FromPixels(self.onet, 127.5, 128), (WINDOW, WINDOW, 3))


class FromPixels(nn.Module):
    """uint8 (N, height, width, 3) to what the network gives for (pixels - middle) / scale, channels first."""

    def __init__(self, network: nn.Module, middle: float, scale: float) -> None:
        super().__init__()
        self.network, self.middle, self.scale = network, middle, scale

    def forward(self, pixels: Tensor) -> Tensor | tuple[Tensor, ...]:
        outputs: Tensor | tuple[Tensor, ...]
        outputs = self.network((pixels.permute(0, 3, 1, 2).float() - self.middle) / self.scale)
        return outputs


def _unit(inputs: int, outputs: int) -> nn.Sequential:
    """A pointwise and a depthwise convolution, then ReLU."""
    depthwise = nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1), depthwise, nn.ReLU(inplace=True))


def build(weights: Mapping[str, Tensor]) -> FaceNetworks:
    """Ready to run. Raises RuntimeError where names or shapes of tensors do not fit."""
    with torch.device("meta"):
        networks = FaceNetworks()
    networks.load_state_dict(dict(weights), strict=True, assign=True)
    # On a CPU the small convolutions are two to five times faster with the channels last.
    return networks.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]
