"""The three networks of MTCNN, and what they say about square windows; knows nothing of pyramids or pictures.

Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks" (2016), with the
layers of the PyPI package `mtcnn` 1.0.0, whose weights `scripts/published/mtcnn.py` reads.
"""

from collections import OrderedDict

import torch
from torch import nn

from model.engines import Weights
from model.engines.on_torch import tensors_of


class Cascade(nn.Module):
    """RGB of -1..1 in: PNet (N, 3, any, any) -> (N, 5, h, w), one window of 12 x 12 every second pixel;
    RNet (N, 3, 24, 24) -> (N, 5); ONet (N, 3, 48, 48) -> (N, 15).

    The values: logit of a face; how far x1, y1, x2, y2 should move; ONet: x of the five landmarks, then their y.
    Lengths are shares of the window's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pnet = nn.Sequential(OrderedDict(
            conv1=nn.Conv2d(3, 10, 3), prelu1=nn.PReLU(10), pool1=nn.MaxPool2d(2, ceil_mode=True),
            conv2=nn.Conv2d(10, 16, 3), prelu2=nn.PReLU(16),
            conv3=nn.Conv2d(16, 32, 3), prelu3=nn.PReLU(32), head=nn.Conv2d(32, 5, 1),
        ))  # fmt: skip
        self.rnet = nn.Sequential(OrderedDict(
            conv1=nn.Conv2d(3, 28, 3), prelu1=nn.PReLU(28), pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
            conv2=nn.Conv2d(28, 48, 3), prelu2=nn.PReLU(48), pool2=nn.MaxPool2d(3, 2),
            conv3=nn.Conv2d(48, 64, 2), prelu3=nn.PReLU(64), flat=nn.Flatten(),
            dense4=nn.Linear(64 * 3 * 3, 128), prelu4=nn.PReLU(128), head=nn.Linear(128, 5),
        ))  # fmt: skip
        self.onet = nn.Sequential(OrderedDict(
            conv1=nn.Conv2d(3, 32, 3), prelu1=nn.PReLU(32), pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
            conv2=nn.Conv2d(32, 64, 3), prelu2=nn.PReLU(64), pool2=nn.MaxPool2d(3, 2),
            conv3=nn.Conv2d(64, 64, 3), prelu3=nn.PReLU(64), pool3=nn.MaxPool2d(2),
            conv4=nn.Conv2d(64, 128, 2), prelu4=nn.PReLU(128), flat=nn.Flatten(),
            dense5=nn.Linear(128 * 3 * 3, 256), prelu5=nn.PReLU(256), head=nn.Linear(256, 15),
        ))  # fmt: skip


def build(weights: Weights) -> Cascade:
    """Ready to run. Raises RuntimeError where names or shapes of weights do not fit."""
    with torch.device("meta"):
        cascade = Cascade()
    cascade.load_state_dict(tensors_of(weights), strict=True, assign=True)
    return cascade.eval()
