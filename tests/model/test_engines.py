"""Both engines are one network: OpenVINO's is skipped where it is not installed, as on ARM."""

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import pairwise
from typing import NoReturn

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from service.drawn_faces import portrait

from model import bundle, engines
from model.bundle import finder_of
from model.embedding.backbones import BACKBONES, Mirrored
from model.embedding.embedder import Embedder, distances, golden_crops
from model.engines import EngineError, OpenVino, Run, Torch, engine
from model.faces.face import CropGeometry
from model.faces.networks import FaceNetworks
from model.manifest import DetectorSpec
from model.training.tutorial import TUTORIAL_CROP

CROPS = {
    "tutorial": TUTORIAL_CROP,
    "resnet29": CropGeometry(height=150, width=150, channels=3),
    "sface": CropGeometry(height=112, width=112, channels=3),
}
SHAPE = (TUTORIAL_CROP.channels, TUTORIAL_CROP.height, TUTORIAL_CROP.width)
DEFAULT = bundle.load(bundle.SHIPPED / "default")
with_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")


def network(backbone: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return BACKBONES[backbone]().eval()


def tutorial() -> Run:
    return OpenVino(threads=1).load(network("tutorial"), SHAPE)


def pixels(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@with_openvino
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_both_engines_give_the_same_distances(backbone: str, mirrored: bool) -> None:
    module = Mirrored(network(backbone)) if mirrored else network(backbone)
    crops = golden_crops(CROPS[backbone])
    (one,), (two,) = (kind.load(module, crops.shape[1:])(crops) for kind in (Torch(), OpenVino(threads=1)))
    assert two.dtype == np.float32
    np.testing.assert_allclose(two, one, atol=1e-5)
    np.testing.assert_allclose(distances(two[:-1], two[1:]), distances(one[:-1], one[1:]), atol=1e-5)


@with_openvino
def test_both_engines_find_the_same_in_pictures_of_any_shape() -> None:
    torch.manual_seed(0)
    networks = FaceNetworks().eval()
    one, two = (networks.loaded(kind) for kind in (Torch(), OpenVino(threads=1)))
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


@with_openvino
def test_both_engines_cut_the_same_crops() -> None:
    """A place differs by rounding, some 1e-5 of the window: 0.01 pixels. Across the steepest edge, 255 levels a
    pixel, that is under three levels; the crop's own rounding adds one.
    """
    if not isinstance(DEFAULT.manifest.detector, DetectorSpec):
        pytest.skip("the shipped bundle has another detector")
    one, two = (finder_of(DEFAULT, kind) for kind in ("torch", "openvino"))
    for person in range(8):
        ours, theirs = one.find(portrait(person)), two.find(portrait(person))
        assert (ours.box, ours.count, ours.warnings) == (theirs.box, theirs.count, theirs.warnings)
        np.testing.assert_allclose(theirs.landmarks or (), ours.landmarks or (), atol=0.01)
        np.testing.assert_allclose(theirs.crop.astype(int), ours.crop, rtol=0, atol=4)


@with_openvino
@pytest.mark.parametrize("name", ["tutorial", "default"])
def test_the_shipped_bundles_pass_their_self_test_on_both(name: str) -> None:
    loaded = bundle.load(bundle.find(name))
    for kind in ("torch", "openvino"):
        Embedder(loaded, threads=1, engine_name=kind).self_test()


@with_openvino
def test_many_threads_run_one_network_each_with_its_own_inputs() -> None:
    run = tutorial()
    crops = pixels(40, *SHAPE)
    (expected,) = run(crops)
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda i: run(crops[i : i + 1])[0], range(len(crops)))
        np.testing.assert_array_equal(np.concatenate(list(found)), expected)


def test_pytorchs_threads_are_as_before_when_the_network_has_run() -> None:
    run = Torch(threads=torch.get_num_threads() + 1).load(network("tutorial"), SHAPE)
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
    (found,) = OpenVino(threads=3).load(network("tutorial"), SHAPE)(crops)
    np.testing.assert_array_equal(found, expected)


@with_openvino
def test_converting_reports_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry = pytest.importorskip("openvino_telemetry").Telemetry

    def report(*_: object, **__: object) -> NoReturn:
        pytest.fail("telemetry")

    for name in ("start_session", "send_event", "send_error", "send_stack_trace"):
        monkeypatch.setattr(telemetry, name, report)
    tutorial()


def test_auto_is_openvino_on_a_cpu_where_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(engine("auto")) is (Torch if find_spec("openvino") is None else OpenVino)
    monkeypatch.setattr(engines, "find_spec", lambda _: None)
    assert type(engine("auto")) is Torch


def test_an_engine_that_is_asked_for_and_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda _: None)
    with pytest.raises(EngineError, match=r"^engine 'openvino' was asked for, but it is not installed: .*$"):
        engine("openvino")


@with_openvino
def test_openvino_is_not_for_other_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(EngineError, match="does not run on device 'cuda'"):
        engine("openvino", device="cuda")
