"""dlib's face ResNet inside the source archive of the PyPI package `face-recognition-models`; knows nothing of bundles.

The file is a dump of dlib's layers in the order of the input's way through them. Each tensor is a version (2), four
dimensions and little-endian float32; integers are a byte that says how many bytes follow, and those bytes.
"""

import hashlib
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from model.embedding.resnet import ResNet29

DAT_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
_DAT = "face_recognition_models-0.3.0/face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat"
_TENSOR_VERSION = 2
_LAYER = re.compile(rb"con_4|affine_|fc_2")


def read(archive: Path) -> dict[str, Tensor]:
    """Tensors of `model.resnet.ResNet29`. Raises ValueError unless the archive holds the published file."""
    fault = f"{archive} does not hold dlib's face recognition ResNet, version 1"
    try:
        with tarfile.open(archive) as files:
            member = files.extractfile(_DAT)
            data = member.read() if member else b""
    except (tarfile.TarError, KeyError, EOFError, zlib.error) as error:  # no archive, another one, or a part of one
        raise ValueError(fault) from error
    if hashlib.sha256(data).hexdigest() != DAT_SHA256:
        raise ValueError(fault)
    return named(data)


def named(dump: bytes) -> dict[str, Tensor]:
    """The dump's tensors as our network's: each affine layer is folded into the convolution before it."""
    found = _tensors(dump)
    network = ResNet29().state_dict()
    for name in [name for name in network if name.endswith("weight") and network[name].ndim == 4]:
        filters = network[name]
        weight, bias = next(found).split([filters.numel(), len(filters)])
        scale, shift = next(found).chunk(2)
        network[name] = weight.view_as(filters) * scale.view(-1, 1, 1, 1)
        network[name.replace("weight", "bias")] = bias * scale + shift
    network["head.weight"] = next(found).view(network["head.weight"].T.shape).T.contiguous()
    return network


def _tensors(dump: bytes) -> Iterator[Tensor]:
    """The parameters of each layer, flat, in the file's order."""
    for tag in _LAYER.finditer(dump):
        start = tag.end()
        if tag.group() == b"fc_2":  # its outputs and inputs come first
            start = _integer(dump, _integer(dump, start)[1])[1]
        version, start = _integer(dump, start)
        if version != _TENSOR_VERSION:
            raise ValueError("the layers are not as dlib writes them")
        count = 1
        for _ in range(4):
            length, start = _integer(dump, start)
            count *= length
        yield torch.frombuffer(bytearray(dump[start : start + 4 * count]), dtype=torch.float32)


def _integer(dump: bytes, start: int) -> tuple[int, int]:
    """An integer, and where the next thing starts."""
    end = start + 1 + dump[start]
    return int.from_bytes(dump[start + 1 : end], "little"), end
