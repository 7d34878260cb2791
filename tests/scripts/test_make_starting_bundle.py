"""The published files are not here: their formats are written by hand, from random numbers."""

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import terminal
import torch
from numpy.typing import NDArray
from published import dlib, mtcnn

from model.embedding.resnet import ResNet29
from model.faces import cascade

RNG = np.random.default_rng(0)


def integer(value: int) -> bytes:
    data = value.to_bytes((value.bit_length() + 7) // 8 or 1, "little")
    return bytes([len(data)]) + data


def layer(tag: bytes, values: NDArray[np.float32], before: bytes = b"") -> bytes:
    """As dlib writes it: the tag with its length, a tensor of one dimension, and settings that nobody needs."""
    head = integer(2) + b"".join(integer(n) for n in (values.size, 1, 1, 1))
    return integer(len(tag)) + tag + before + head + values.astype("<f4").tobytes() + struct.pack("<d", 0.1)


def test_dlibs_layers_are_read_and_its_affine_layers_folded() -> None:
    network, dump, expected = ResNet29(), b"loss_metric_2 input_rgb_image_sized ", {}
    convolutions = {name: m for name, m in network.named_modules() if isinstance(m, torch.nn.Conv2d)}
    for name, convolution in convolutions.items():
        weight = RNG.normal(size=convolution.weight.shape).astype(np.float32)
        bias, scale, shift = RNG.normal(size=(3, len(weight))).astype(np.float32)
        dump += layer(b"con_4", np.concatenate([weight.ravel(), bias])) + layer(b"affine_", np.r_[scale, shift])
        expected[name] = (weight, bias, scale, shift)
    head = RNG.normal(size=(256, 128)).astype(np.float32)
    dump += layer(b"fc_2", head, before=integer(128) + integer(256))
    network.load_state_dict(dlib.named(dump))
    torch.testing.assert_close(network.head.weight.detach(), torch.from_numpy(head.T.copy()))
    for name in ("stem", "blocks.13.conv2"):
        kernel, offset, scale, shift = (torch.from_numpy(values) for values in expected[name])
        convolution = convolutions[name]
        x = torch.randn(1, convolution.in_channels, 9, 9)
        unfolded = torch.nn.functional.conv2d(x, kernel, offset, convolution.stride[0], int(convolution.padding[0]))
        affine = unfolded * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)
        torch.testing.assert_close(convolution(x), affine, rtol=1e-4, atol=1e-4)


def test_other_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="not as dlib writes them"):
        dlib.named(integer(5) + b"con_4" + integer(3))


@pytest.mark.parametrize(("network", "side"), [("rnet", 24), ("onet", 48)])
def test_the_detectors_arrays_give_what_they_give_in_tensorflows_layout(network: str, side: int) -> None:
    ours = dict(cascade.Cascade().named_children())[network]
    arrays, heads = keras_arrays(network, ours)
    ours.load_state_dict(dict(mtcnn.named(network, arrays)))
    pictures = RNG.normal(size=(2, side, side, 3)).astype(np.float32)
    found = ours(torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())).detach().numpy()
    face, *others = keras_forward(network, pictures, arrays, heads)
    np.testing.assert_allclose(1 / (1 + np.exp(-found[:, 0])), face, atol=1e-4)
    np.testing.assert_allclose(found[:, 1:], np.concatenate(others, axis=1), atol=1e-3)


def keras_arrays(network: str, ours: torch.nn.Module) -> tuple[list[NDArray[np.float32]], int]:
    """Random arrays in the file's order and layout: kernels (height, width, in, out), slopes (1, 1, out)."""
    heads = {"box": 4, "face": 2, "points": 10}
    shapes: list[tuple[int, ...]] = []
    for name, module in ours.named_children():
        if isinstance(module, torch.nn.Conv2d):
            rows, columns = module.kernel_size
            shapes += [(rows, columns, module.in_channels, module.out_channels), (module.out_channels,)]
            shapes += [(1, 1, module.out_channels)]
        elif isinstance(module, torch.nn.Linear) and name != "head":
            shapes += [(module.in_features, module.out_features), (module.out_features,), (module.out_features,)]
    names = mtcnn.HEADS[network]
    inside = int(ours.state_dict()["head.weight"].shape[1])
    shapes += [shape for name in names for shape in ((inside, heads[name]), (heads[name],))]
    return [RNG.normal(0, 0.1, shape).astype(np.float32) for shape in shapes], len(names)


def keras_forward(
    network: str, x: NDArray[np.float32], arrays: list[NDArray[np.float32]], heads: int
) -> list[NDArray[np.float32]]:
    """The network in channels-last arithmetic; dense layers take (width, height, channels)."""
    body, pools = arrays[: -2 * heads], {"rnet": [3, 3, 0], "onet": [3, 3, 2, 0]}[network]
    for start in range(0, len(body), 3):
        kernel, bias, slopes = body[start : start + 3]
        if kernel.ndim == 2 and x.ndim == 4:
            x = x.transpose(0, 2, 1, 3).reshape(len(x), -1)
        x = np.tensordot(windows(x, len(kernel)), kernel, 3) + bias if kernel.ndim == 4 else x @ kernel + bias
        x = np.where(x > 0, x, x * slopes)
        if kernel.ndim == 4 and (pool := pools[start // 3]):
            x = pooled(x, pool, same=start == 0)
    found = {name: x @ arrays[-2 * heads + 2 * i] + arrays[-2 * heads + 2 * i + 1] for i, name in enumerate(
        mtcnn.HEADS[network])}  # fmt: skip
    odds = np.exp(found["face"])
    order = [odds[:, 1] / odds.sum(axis=1), found["box"], *([found["points"]] if "points" in found else [])]
    return [value.astype(np.float32) for value in order]


def windows(x: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """(N, h, w, c) -> (N, h', w', size, size, c)."""
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)


def pooled(x: NDArray[np.float32], size: int, same: bool) -> NDArray[np.float32]:
    if same:  # Keras pads at the end where the last window would hang over
        over = (-(x.shape[1] - size)) % 2
        x = np.pad(x, ((0, 0), (0, over), (0, over), (0, 0)), constant_values=-np.inf)
    most: NDArray[np.float32] = windows(x, size)[:, ::2, ::2].max(axis=(3, 4))
    return most


def test_a_wrong_archive_is_refused_in_one_line(tmp_path: Path) -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as files:
        member = tarfile.TarInfo("other/file.dat")
        member.size = 100_000
        files.addfile(member, io.BytesIO(RNG.bytes(member.size)))
    path = tmp_path / "other.tar.gz"
    for content in (b"PK", b"", whole.getvalue(), whole.getvalue()[:50_000]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{path} does not hold dlib's face recognition ResNet, version 1$"):
            dlib.read(path)


@pytest.mark.parametrize("fault", [tarfile.ReadError("no:\n- method gz\n- method xz"), zipfile.BadZipFile("no zip")])
def test_a_fault_of_an_archive_is_one_line(fault: Exception) -> None:
    with pytest.raises(SystemExit) as ended, terminal.one_line_errors():
        raise fault
    assert str(ended.value).startswith("error: no")
    assert "\n" not in str(ended.value)


def test_only_the_published_files_are_read(tmp_path: Path) -> None:
    pytest.importorskip("joblib", reason="needs the extra `start`")
    (tmp_path / "other.whl").write_bytes(b"PK")
    with pytest.raises(ValueError, match="is not the wheel of mtcnn"):
        mtcnn.read(tmp_path / "other.whl")
