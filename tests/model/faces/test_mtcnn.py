"""The detector of bundles made before YuNet: still read, with random weights here; none that is shipped has it."""

import numpy as np
import pytest
import torch

from model.faces import cascade
from model.faces.face import CascadeSearch
from model.faces.mtcnn import Mtcnn


@pytest.fixture(scope="module")
def detector() -> Mtcnn:
    torch.manual_seed(0)
    weights = {name: tensor.numpy() for name, tensor in cascade.Cascade().state_dict().items()}
    return Mtcnn(weights, CascadeSearch(scores=(0.1, 0.1, 0.1)))


@pytest.mark.parametrize("shape", [(32, 32), (32, 2000), (2000, 40), (13, 12), (300, 400)])
def test_whatever_its_weights_say_boxes_are_bounded_and_finite(detector: Mtcnn, shape: tuple[int, int]) -> None:
    found = detector.find(np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8))
    assert len(found.scores) <= 32
    assert found.landmarks.shape == (len(found.scores), 5, 2)
    assert np.isfinite(found.boxes).all()
    assert (np.diff(found.scores) <= 0).all()
