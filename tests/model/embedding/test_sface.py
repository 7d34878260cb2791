from itertools import pairwise

import torch

from model.embedding.backbones import build, parameter_count, weights_of
from model.embedding.sface import SFace


def test_it_has_the_published_parameters() -> None:
    channels, total = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024], 3 * 9 * 32 + 2 * 32
    for inputs, outputs in pairwise(channels):  # depthwise, pointwise; a bias and a slope each
        total += inputs * 9 + 2 * inputs + inputs * outputs + 2 * outputs
    assert parameter_count(SFace()) == total + 1024 * 7 * 7 * 128 + 128 == 9_629_632


def test_it_takes_rgb_crops_and_gives_unit_vectors() -> None:
    torch.manual_seed(0)
    network = SFace().eval()
    crops = torch.randint(0, 256, (3, 3, 112, 112), dtype=torch.uint8)
    embeddings = network(crops)
    assert embeddings.shape == (3, 128)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))
    rebuilt = build("sface", weights_of(network))
    torch.testing.assert_close(rebuilt(crops), embeddings, rtol=1e-4, atol=1e-5)
    pixels = (crops.float() - 127.5) * 0.0078125
    torch.testing.assert_close(
        embeddings, torch.nn.functional.normalize(network.head(network.layers(pixels).flatten(1))), rtol=1e-4, atol=1e-5
    )
