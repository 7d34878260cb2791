import pytest
import torch

from model.embedding.backbones import BACKBONES, TutorialNetwork, build, parameter_count, weights_of
from model.manifest import BundleError


def test_every_layer_of_the_tutorials_network_has_its_shape() -> None:
    shapes = []
    signal = torch.zeros(2, 1, 56, 46)
    for layer in TutorialNetwork().layers:
        signal = layer(signal)
        shapes.append((type(layer).__name__, tuple(signal.shape[1:])))
    assert shapes == [
        ("Conv2d", (6, 54, 44)), ("ReLU", (6, 54, 44)), ("MaxPool2d", (6, 27, 22)), ("Dropout", (6, 27, 22)),
        ("Conv2d", (12, 25, 20)), ("ReLU", (12, 25, 20)), ("MaxPool2d", (12, 12, 10)), ("Dropout", (12, 12, 10)),
        ("Flatten", (1440,)),
        ("Linear", (128,)), ("ReLU", (128,)), ("Dropout", (128,)),
        ("Linear", (50,)), ("ReLU", (50,)),
    ]  # fmt: skip


def test_it_has_the_tutorials_parameters() -> None:
    by_hand = (1 * 9 + 1) * 6 + (6 * 9 + 1) * 12 + (12 * 10 * 12 + 1) * 128 + (128 + 1) * 50
    assert parameter_count(TutorialNetwork()) == by_hand == 191_618


def test_dropout_is_the_tutorials() -> None:
    assert [layer.p for layer in TutorialNetwork().layers if isinstance(layer, torch.nn.Dropout)] == [0.25, 0.25, 0.1]


def test_it_starts_as_keras_does() -> None:
    torch.manual_seed(0)
    for layer in TutorialNetwork().layers:
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            receptive = layer.weight[0, 0].numel()
            fans = (layer.weight.shape[0] + layer.weight.shape[1]) * receptive
            bound = (6 / fans) ** 0.5
            assert bound * 0.8 < layer.weight.abs().max() <= bound
            assert layer.bias is not None
            assert (layer.bias == 0).all()


def test_pixels_are_brought_to_0_1_inside() -> None:
    network = TutorialNetwork().eval()
    crops = torch.randint(0, 256, (3, 1, 56, 46), dtype=torch.uint8)
    torch.testing.assert_close(network(crops), network.layers(crops.float() / 255))


def test_it_is_rebuilt_from_its_weights() -> None:
    network = TutorialNetwork().eval()
    crops = torch.randint(0, 256, (3, 1, 56, 46), dtype=torch.uint8)
    rebuilt = build("tutorial", weights_of(network))
    assert not rebuilt.training
    torch.testing.assert_close(rebuilt(crops), network(crops))


def test_weights_that_do_not_fit_are_refused() -> None:
    weights = weights_of(TutorialNetwork())
    with pytest.raises(RuntimeError):
        build("tutorial", {**weights, "extra": torch.zeros(1)})
    with pytest.raises(BundleError):
        build("nothing", weights)
    assert "tutorial" in BACKBONES
