"""Both engines are one network: OpenVINO's is skipped where it is not installed, as on ARM."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import makers
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from service.drawn_faces import portrait

from model import bundle, engines
from model.bundle import finder_of
from model.embedding.backbones import BACKBONES, network
from model.embedding.embedder import Embedder, distances, golden_crops
from model.engines import EngineError, EngineName, Network, Run, engine
from model.engines.layers import Layers, Signal
from model.engines.on_torch import Torch
from model.faces.networks import loaded, onet, yunet
from model.manifest import DetectorSpec
from model.training.tutorial import TUTORIAL_CROP

SHAPE = (TUTORIAL_CROP.channels, TUTORIAL_CROP.height, TUTORIAL_CROP.width)
DEFAULT = bundle.load(bundle.SHIPPED / "default")
BOTH: tuple[EngineName, EngineName] = ("torch", "openvino")
with_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")


def tutorial(name: EngineName = "openvino", threads: int = 1) -> Run:
    return engine(name, threads=threads).load(network("tutorial", makers.drawn_weights("tutorial"), TUTORIAL_CROP))


def pixels(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@with_openvino
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_both_engines_give_the_same_distances(backbone: str, mirrored: bool) -> None:
    crop = makers.CROPS[backbone]
    written = network(backbone, makers.drawn_weights(backbone), crop, mirrored=mirrored)
    (one,), (two,) = (each.load(written)(golden_crops(crop)) for each in makers.engines())
    assert two.dtype == np.float32
    assert one.std() > 0
    np.testing.assert_allclose(two, one, atol=1e-5 * max(1, np.abs(one).max()))
    np.testing.assert_allclose(distances(two[:-1], two[1:]), distances(one[:-1], one[1:]), rtol=1e-5, atol=1e-5)


@with_openvino
def test_both_engines_find_the_same_in_pictures_of_any_shape() -> None:
    weights = {f"yunet.{name}": array for name, array in makers.drawn(yunet, 64, 64, 3).items()}
    weights |= {f"onet.{name}": array for name, array in makers.drawn(onet, 48, 48, 3).items()}
    one, two = (loaded(weights, each) for each in makers.engines())
    for shape in ((64, 64), (96, 32), (256, 192), (64, 64)):
        assert_same_outputs(one[0], two[0], pixels(1, *shape, 3), outputs=3)
    assert_same_outputs(one[1], two[1], pixels(2, 48, 48, 3), outputs=1)


def assert_same_outputs(one: Run, two: Run, inputs: NDArray[np.uint8], outputs: int) -> None:
    first, second = one(inputs), two(inputs)
    assert len(first) == len(second) == outputs
    for ours, theirs in zip(first, second, strict=True):
        assert ours.dtype == theirs.dtype == np.float32
        assert ours.std() > 0
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-4 * float(np.abs(ours).max()))


LAYERS: dict[str, Callable[[Layers, Signal], Signal]] = {
    "convolution": lambda layers, x: layers.convolution(x, "a", 4, 3, stride=2, padding=1),
    "depthwise convolution": lambda layers, x: layers.convolution(x, "a", 3, 3, padding=1, depthwise=True),
    "dense": lambda layers, x: layers.dense(layers.flat(x), "a", 4),
    "dense without a bias": lambda layers, x: layers.dense(layers.mean(x), "a", 4, bias=False),
    "prelu": lambda layers, x: layers.prelu(x, "a"),
    "prelu of values": lambda layers, x: layers.prelu(layers.flat(x), "a"),
    "relu": lambda layers, x: layers.relu(x),
    "dropout": lambda layers, x: layers.dropout(x, 0.5),
    "max_pool": lambda layers, x: layers.max_pool(x, 3, 2),
    "max_pool beyond the end": lambda layers, x: layers.max_pool(x, 3, 2, hang_over=True),
    "average_pool": lambda layers, x: layers.average_pool(x, 2),
    "unit": lambda layers, x: layers.unit(layers.flat(x)),
    "unit of nothing": lambda layers, x: layers.unit(layers.mean(layers.relu(layers.scaled(x, 300, 1)))),
    "flipped": lambda layers, x: layers.flipped(x),
    "doubled": lambda layers, x: layers.doubled(x),
    "padded": lambda layers, x: layers.padded(x, *layers.shape(x)),
    "joined and parted": lambda layers, x: layers.sum(*layers.parted(layers.joined(x, layers.flipped(x)))),
    "channels_first": lambda layers, x: layers.channels_first(x),
}


@with_openvino
@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_is_the_same_in_both_engines(name: str) -> None:
    def written(layers: Layers, x: Signal) -> tuple[Signal]:
        return (LAYERS[name](layers, layers.scaled(x, (100, 120, 140), 64)),)

    network = Network(written, makers.drawn(written, 3, 10, 8), (3, 10, 8))
    one, two = (each.load(network) for each in makers.engines())
    assert_same(one(pixels(2, 3, 10, 8))[0], two(pixels(2, 3, 10, 8))[0])


def assert_same(one: NDArray[np.float32], two: NDArray[np.float32]) -> None:
    assert one.shape == two.shape
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-5)


@with_openvino
def test_both_engines_cut_the_same_crops() -> None:
    """A place differs by rounding, some 1e-5 of the window: 0.01 pixels. Across the steepest edge, 255 levels a
    pixel, that is under three levels; the crop's own rounding adds one.
    """
    if not isinstance(DEFAULT.manifest.detector, DetectorSpec):
        pytest.skip("the shipped bundle has another detector")
    one, two = (finder_of(DEFAULT, each) for each in BOTH)
    for person in range(8):
        ours, theirs = one.find(portrait(person)), two.find(portrait(person))
        assert (ours.box, ours.count, ours.warnings) == (theirs.box, theirs.count, theirs.warnings)
        np.testing.assert_allclose(theirs.landmarks or (), ours.landmarks or (), atol=0.01)
        np.testing.assert_allclose(theirs.crop.astype(int), ours.crop, rtol=0, atol=4)


@with_openvino
@pytest.mark.parametrize("name", ["tutorial", "default"])
def test_the_shipped_bundles_pass_their_self_test_on_both(name: str) -> None:
    shipped = bundle.load(bundle.find(name))
    for each in BOTH:
        Embedder(shipped, threads=1, engine_name=each).self_test()


@with_openvino
def test_many_threads_run_one_network_each_with_its_own_inputs() -> None:
    run = tutorial()
    crops = pixels(40, *SHAPE)
    (expected,) = run(crops)
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda i: run(crops[i : i + 1])[0], range(len(crops)))
        np.testing.assert_array_equal(np.concatenate(list(found)), expected)


def test_pytorchs_threads_are_as_before_when_the_network_has_run() -> None:
    run = tutorial("torch", threads=torch.get_num_threads() + 1)
    before = torch.get_num_threads()
    run(pixels(1, *SHAPE))
    assert torch.get_num_threads() == before
    with pytest.raises(RuntimeError):
        run(pixels(1, 3, 8, 8))
    assert torch.get_num_threads() == before


@with_openvino
def test_outputs_stay_when_the_network_runs_again() -> None:
    run, crops = tutorial(), golden_crops(TUTORIAL_CROP)
    for before, after in pairwise(crops[:, np.newaxis]):
        (kept,) = run(before)
        copy = kept.copy()
        assert not np.array_equal(run(after)[0], copy)
        np.testing.assert_array_equal(kept, copy)


@with_openvino
def test_an_embedding_does_not_depend_on_its_neighbours() -> None:
    run, crops = tutorial(), golden_crops(TUTORIAL_CROP)
    (together,) = run(crops)
    np.testing.assert_array_equal(together[2:], np.concatenate([run(crops[i : i + 1])[0] for i in (2, 3)]))
    np.testing.assert_array_equal(run(crops[::-1])[0], together[::-1])


@with_openvino
def test_inputs_side_by_side_give_what_one_after_the_other_gives() -> None:
    crops = pixels(33, *SHAPE)
    (expected,) = tutorial()(crops)
    (found,) = tutorial(threads=3)(crops)
    np.testing.assert_array_equal(found, expected)


@with_openvino
def test_openvino_reports_to_nobody(tmp_path: Path) -> None:
    """It would, when it is imported, by a package of its own."""
    code = (
        "import sys; from model import bundle; from model.embedding.embedder import Embedder\n"
        "Embedder(bundle.load(bundle.find('tutorial')), engine_name='openvino').self_test()\n"
        "print([name for name in sys.modules if 'telemetry' in name], 'openvino' in sys.modules)"
    )
    home = {**os.environ, "HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=makers.ROOT, env=home
    )
    assert run.stdout.strip() == "[] True"
    assert list(tmp_path.iterdir()) == []


def test_auto_is_openvino_on_a_cpu_where_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(engine("auto")).__name__ == ("Torch" if find_spec("openvino") is None else "OpenVino")
    monkeypatch.setattr(engines, "find_spec", lambda name: name == "torch" or None)
    assert type(engine("auto")) is Torch


@pytest.mark.parametrize(("asked", "needed"), [("openvino", "openvino"), ("torch", "torch"), ("auto", "torch")])
def test_an_engine_that_is_needed_and_missing_is_one_line(
    asked: EngineName, needed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda _: None)
    with pytest.raises(
        EngineError, match=rf"^engine '{needed}' is needed, but it is not installed: pip install {needed}$"
    ):
        engine(asked)


def test_openvino_is_not_for_other_devices() -> None:
    with pytest.raises(EngineError, match="does not run on device 'cuda'"):
        engine("openvino", device="cuda")
