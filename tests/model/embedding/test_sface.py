from itertools import pairwise

import makers
import numpy as np

from model.embedding.backbones import network
from model.engines.on_torch import Torch


def test_it_has_the_published_parameters() -> None:
    channels, total = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024], 3 * 9 * 32 + 2 * 32
    for inputs, outputs in pairwise(channels):  # depthwise, pointwise; a bias and a slope each
        total += inputs * 9 + 2 * inputs + inputs * outputs + 2 * outputs
    parameters = sum(array.size for array in makers.drawn_weights("sface").values())
    assert parameters == total + 1024 * 7 * 7 * 128 + 128 == 9_629_632


def test_it_takes_rgb_crops_and_gives_unit_vectors(rng: np.random.Generator) -> None:
    run = Torch().load(network("sface", makers.drawn_weights("sface"), makers.CROPS["sface"]))
    (embeddings,) = run(rng.integers(0, 256, (3, 3, 112, 112), dtype=np.uint8))
    assert embeddings.shape == (3, 128)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)
