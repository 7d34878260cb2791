"""Both engines are one network: OpenVINO's is skipped where it is not installed, as on ARM."""

from importlib.util import find_spec
from typing import NoReturn

import numpy as np
import pytest
import torch

from model import bundle
from model.embedding import engines
from model.embedding.backbones import BACKBONES, Mirrored
from model.embedding.embedder import Embedder, distances, golden_crops
from model.embedding.engines import OpenVino, Torch, engine
from model.faces.face import CropGeometry
from model.manifest import BundleError
from model.training.tutorial import TUTORIAL_CROP

CROPS = {
    "tutorial": TUTORIAL_CROP,
    "resnet29": CropGeometry(height=150, width=150, channels=3),
    "sface": CropGeometry(height=112, width=112, channels=3),
}
with_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")


def network(backbone: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return BACKBONES[backbone]().eval()


@with_openvino
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_both_engines_give_the_same_distances(backbone: str, mirrored: bool) -> None:
    geometry = CROPS[backbone]
    module = Mirrored(network(backbone)) if mirrored else network(backbone)
    crops = golden_crops(geometry)
    one, two = (kind.embed(crops) for kind in (Torch(module), OpenVino(module, geometry, threads=1)))
    assert two.dtype == np.float32
    np.testing.assert_allclose(two, one, atol=1e-5)
    np.testing.assert_allclose(distances(two[:-1], two[1:]), distances(one[:-1], one[1:]), atol=1e-5)


@with_openvino
@pytest.mark.parametrize("name", ["tutorial", "default"])
def test_the_shipped_bundles_pass_their_self_test_on_both(name: str) -> None:
    loaded = bundle.load(bundle.find(name))
    for kind in ("torch", "openvino"):
        Embedder(loaded, threads=1, engine_name=kind).self_test()


@with_openvino
def test_an_embedding_does_not_depend_on_its_neighbours() -> None:
    compiled = OpenVino(network("tutorial"), TUTORIAL_CROP, threads=1)
    crops = golden_crops(TUTORIAL_CROP)
    together = compiled.embed(crops)
    np.testing.assert_array_equal(together[2:], np.concatenate([compiled.embed(crops[i : i + 1]) for i in (2, 3)]))
    np.testing.assert_array_equal(compiled.embed(crops[::-1]), together[::-1])


@with_openvino
def test_converting_reports_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry = pytest.importorskip("openvino_telemetry").Telemetry

    def report(*_: object, **__: object) -> NoReturn:
        pytest.fail("telemetry")

    for name in ("start_session", "send_event", "send_error", "send_stack_trace"):
        monkeypatch.setattr(telemetry, name, report)
    OpenVino(network("tutorial"), TUTORIAL_CROP, threads=1)


def test_auto_is_openvino_on_a_cpu_where_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = network("tutorial")
    expected = Torch if find_spec("openvino") is None else OpenVino
    assert type(engine("auto", module, TUTORIAL_CROP)) is expected
    monkeypatch.setattr(engines, "find_spec", lambda _: None)
    assert type(engine("auto", module, TUTORIAL_CROP)) is Torch


def test_an_engine_that_is_asked_for_and_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda _: None)
    with pytest.raises(BundleError, match=r"^engine 'openvino' was asked for, but it is not installed: .*$"):
        engine("openvino", network("tutorial"), TUTORIAL_CROP)


@with_openvino
def test_openvino_is_not_for_other_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(BundleError, match="does not run on device 'cuda'"):
        engine("openvino", network("tutorial"), TUTORIAL_CROP, device="cuda")
