from typing import Any

import makers
import numpy as np
import pytest
import torch

from model.embedding.backbones import BACKBONES, network
from model.embedding.tutorial import tutorial
from model.engines.on_torch import Torch, TorchLayers
from model.manifest import BundleError
from model.training.trainable import Trainable, embed, weights_of
from model.training.tutorial import TUTORIAL_CROP, initial_weights


class Noting(TorchLayers):
    """Notes what each layer gives, and the dropout's shares."""

    def __init__(self) -> None:
        super().__init__(Trainable(tutorial, initial_weights(0)).state_dict())
        self.noted: list[tuple[str, tuple[int, ...]]] = []
        self.dropped: list[float] = []

    def __getattribute__(self, name: str) -> Any:
        layer = super().__getattribute__(name)
        if name.startswith("_") or name in ("noted", "dropped"):
            return layer

        def noting(x: torch.Tensor, *given: Any, **options: Any) -> torch.Tensor:
            found: torch.Tensor = layer(x, *given, **options)
            self.noted.append((name, tuple(found.shape[1:])))
            if name == "dropout":
                self.dropped.append(given[0])
            return found

        return noting


def test_every_layer_of_the_tutorials_network_has_its_shape_and_dropout() -> None:
    layers = Noting()
    tutorial(layers, torch.zeros(2, 1, 56, 46, dtype=torch.uint8))
    assert layers.noted == [
        ("scaled", (1, 56, 46)),
        ("convolution", (6, 54, 44)), ("relu", (6, 54, 44)), ("max_pool", (6, 27, 22)), ("dropout", (6, 27, 22)),
        ("convolution", (12, 25, 20)), ("relu", (12, 25, 20)), ("max_pool", (12, 12, 10)), ("dropout", (12, 12, 10)),
        ("flat", (1440,)),
        ("dense", (128,)), ("relu", (128,)), ("dropout", (128,)),
        ("dense", (50,)), ("relu", (50,)),
    ]  # fmt: skip
    assert layers.dropped == [0.25, 0.25, 0.1]


def test_it_has_the_tutorials_parameters() -> None:
    by_hand = (1 * 9 + 1) * 6 + (6 * 9 + 1) * 12 + (12 * 10 * 12 + 1) * 128 + (128 + 1) * 50
    assert sum(array.size for array in initial_weights(0).values()) == by_hand == 191_618


def test_it_starts_as_keras_does() -> None:
    weights = initial_weights(0)
    for name in ("layers.0", "layers.4", "layers.9", "layers.12"):
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        fans = (weight.shape[0] + weight.shape[1]) * weight[0, 0].size
        bound = (6 / fans) ** 0.5
        assert bound * 0.8 < np.abs(weight).max() <= bound
        assert (bias == 0).all()


def test_pixels_are_brought_to_0_1_inside() -> None:
    layers = TorchLayers({})
    crops = torch.tensor([[[[0, 51], [102, 255]]]], dtype=torch.uint8)
    torch.testing.assert_close(layers.scaled(crops, 0, 255), torch.tensor([[[[0, 0.2], [0.4, 1]]]]))


def test_it_drops_out_only_in_training() -> None:
    trainable = Trainable(tutorial, initial_weights(0))
    crops = torch.randint(0, 256, (3, 1, 56, 46), dtype=torch.uint8)
    assert not torch.equal(trainable.train()(crops), trainable(crops))
    assert torch.equal(trainable.eval()(crops), trainable(crops))


def test_what_is_trained_is_what_is_served() -> None:
    trainable = Trainable(tutorial, initial_weights(0))
    crops = np.random.default_rng(0).integers(0, 256, (3, 1, 56, 46), dtype=np.uint8)
    served = Torch().load(network("tutorial", weights_of(trainable), TUTORIAL_CROP))
    np.testing.assert_allclose(served(crops)[0], embed(trainable, crops), rtol=0, atol=1e-6)


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(BundleError, match="unknown backbone 'x'"):
        network("x", {}, TUTORIAL_CROP)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_weights_that_are_missing_left_over_or_of_another_shape_are_refused(backbone: str) -> None:
    crop = makers.CROPS[backbone]
    drawn = makers.drawn_weights(backbone)
    first = next(iter(drawn))
    for weights, message in (
        ({name: array for name, array in drawn.items() if name != first}, f"there is no '{first}'"),
        ({**drawn, first: drawn[first][:1]}, f"there is no '{first}'"),
        ({**drawn, "more": drawn[first]}, "the network has no 'more'"),
    ):
        for engine in makers.engines():
            with pytest.raises(RuntimeError, match=message):
                engine.load(network(backbone, weights, crop))


def test_half_precision_is_stored_and_single_computed() -> None:
    weights = {name: array.astype(np.float16) for name, array in initial_weights(0).items()}
    crops = np.random.default_rng(0).integers(0, 256, (3, 1, 56, 46), dtype=np.uint8)
    for engine in makers.engines():
        (found,) = engine.load(network("tutorial", weights, TUTORIAL_CROP))(crops)
        assert found.dtype == np.float32
        (expected,) = engine.load(network("tutorial", initial_weights(0), TUTORIAL_CROP))(crops)
        np.testing.assert_allclose(found, expected, atol=2e-3)
