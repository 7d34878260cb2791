from dataclasses import replace
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path

import makers
import msgspec
import numpy as np
import pytest
import torch

from model import bundle
from model.bundle import Bundle
from model.embedding.embedder import Embedder, SelfTestError, distances, golden_crops
from model.engines import EngineError, EngineName
from model.faces.face import CropGeometry
from model.manifest import BundleError
from model.training.tutorial import TUTORIAL_CROP

CROPS = np.stack([makers.face(i)[::2, ::2][np.newaxis] for i in range(8)])


def test_embeddings_are_float32_in_the_order_of_the_crops(embedder: Embedder) -> None:
    embeddings = embedder.embed(CROPS)
    assert embeddings.shape == (8, 50)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embedder.embed(CROPS[::-1]), embeddings[::-1], atol=1e-6)


def test_a_batch_of_one_equals_a_batch_of_eight(embedder: Embedder) -> None:
    one_by_one = np.concatenate([embedder.embed([crop]) for crop in CROPS])
    np.testing.assert_allclose(embedder.embed(CROPS), one_by_one, atol=1e-6)


def test_distances_agree_with_their_formula_in_loops(embedder: Embedder) -> None:
    embeddings = embedder.embed(CROPS)
    for a, b in combinations(range(8), 2):
        slow = sum((float(p) - float(q)) ** 2 for p, q in zip(embeddings[a], embeddings[b], strict=True)) ** 0.5
        assert distances(embeddings[a], embeddings[b]) == pytest.approx(slow, abs=1e-6)
        assert distances(embeddings[a], embeddings[b]) == distances(embeddings[b], embeddings[a])
    assert (distances(embeddings, embeddings) == 0).all()


def test_the_self_test_passes_where_nothing_was_changed(embedder: Embedder) -> None:
    embedder.self_test()


def test_the_self_test_notices_changed_weights(bundle_folder: Path) -> None:
    loaded = bundle.load(bundle_folder)
    weights = {name: tensor * (1.1 if name.startswith("layers.12") else 1.0) for name, tensor in loaded.weights.items()}
    with pytest.raises(SelfTestError, match="the bundle recorded"):
        Embedder(Bundle(loaded.manifest, weights)).self_test()


def test_a_crop_that_does_not_fit_is_noticed(bundle_folder: Path) -> None:
    loaded = bundle.load(bundle_folder)
    manifest = msgspec.structs.replace(loaded.manifest, crop=msgspec.structs.replace(TUTORIAL_CROP, height=60))
    engines: tuple[EngineName, ...] = ("torch", "openvino") if find_spec("openvino") else ("torch",)
    for engine in engines:
        with pytest.raises(BundleError, match="do not fit the networks"):
            Embedder(replace(loaded, manifest=manifest), engine_name=engine)


def test_weights_of_another_network_are_refused(bundle_folder: Path) -> None:
    loaded = bundle.load(bundle_folder)
    with pytest.raises(BundleError, match="do not fit the networks"):
        Embedder(replace(loaded, weights={"x": np.zeros(1)}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_refused(bundle_folder: Path) -> None:
    with pytest.raises(EngineError, match="there is none on this machine"):
        Embedder(bundle.load(bundle_folder), device="cuda")


def test_golden_crops_are_of_the_bundles_shape_and_differ() -> None:
    crops = golden_crops(CropGeometry(height=150, width=100, channels=3))
    assert crops.shape == (4, 3, 150, 100)
    assert crops.dtype == np.uint8
    assert len(np.unique(crops.reshape(4, -1), axis=0)) == 4
