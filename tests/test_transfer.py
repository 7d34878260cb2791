from dataclasses import replace

import numpy as np
import pytest
import torch
from portraits import portrait
from torch import Tensor, nn

from model.augment import WIDER, view
from model.losses import contrastive_of_all
from model.transfer import Lessons, TransferRecipe, TransferRun, fit, targets

RECIPE = TransferRecipe(rounds=2, pairs_of_pictures=2, single_pictures=2, learning_rate=1e-3)
WIDE = np.stack([portrait(i // 2, i % 2, size=20 + 2 * WIDER).transpose(2, 0, 1) for i in range(8)])
LABELS = np.array([0, 0, 1, 1, 2, 2, 3, 3])


class Small(nn.Module):
    """uint8 (N, 3, 20, 20) -> unit vectors (N, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(1200, 16), nn.ReLU(), nn.Linear(16, 5))

    def forward(self, crops: Tensor) -> Tensor:
        return nn.functional.normalize(self.layers(crops.float() / 255 - 0.5))


@pytest.fixture
def start() -> Small:
    torch.manual_seed(0)
    return Small().eval()


def lessons(start: Small) -> Lessons:
    return Lessons(WIDE, targets(start, WIDE), LABELS)


def test_a_target_is_the_mean_of_six_views(start: Small) -> None:
    views = [view(WIDE, zoom, mirrored) for zoom in (0.92, 1.0, 1.08) for mirrored in (False, True)]
    total = sum(start(each).detach().numpy() for each in views)
    expected = total / np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(targets(start, WIDE, batch=3), expected, atol=1e-6)


def test_training_brings_spoilt_views_to_the_targets_and_leaves_the_start_alone(start: Small) -> None:
    before = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    run = TransferRun(RECIPE, start)
    reports = list(fit(run, lessons(start)))
    assert [report.round for report in reports] == [1, 2]
    assert reports[1].to_target < reports[0].to_target
    for name, tensor in start.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_a_resumed_run_gives_the_same_weights(start: Small) -> None:
    whole, first, second = (TransferRun(RECIPE, start) for _ in range(3))
    list(fit(whole, lessons(start)))
    next(fit(first, lessons(start)))
    second.restore(first.state())
    assert [report.round for report in fit(second, lessons(start))] == [2]
    for name, tensor in whole.mixed().items():
        torch.testing.assert_close(second.mixed()[name], tensor, rtol=0, atol=0)


def test_another_recipes_checkpoint_is_refused(start: Small) -> None:
    other = TransferRun(replace(RECIPE, seed=1), start)
    with pytest.raises(ValueError, match="another recipe"):
        TransferRun(RECIPE, start).restore(other.state())


def test_the_mix_lies_between_start_and_trained(start: Small) -> None:
    run = TransferRun(replace(RECIPE, mix=0.25, rounds=1), start)
    list(fit(run, lessons(start)))
    for name, mixed in run.mixed().items():
        expected = 0.75 * start.state_dict()[name] + 0.25 * run.network.state_dict()[name]
        torch.testing.assert_close(mixed, expected)


def test_the_loss_of_all_pairs_counts_what_its_formula_says() -> None:
    torch.manual_seed(1)
    embeddings = nn.functional.normalize(torch.randn(6, 2) + 1.5)
    reference = nn.functional.normalize(embeddings + torch.tensor([0.0, 0, 0, 0, 0, 3]).view(6, 1) * torch.randn(6, 2))
    labels, near, margin, doubt = torch.tensor([0, 0, 1, 1, 2, 2]), 0.05, 0.4, 0.5
    far, close, counted = 0.0, 0.0, 0
    for i in range(6):
        for j in range(i):
            d = float((embeddings[i] - embeddings[j]).norm())
            if labels[i] != labels[j]:
                close += max(margin - d, 0) ** 2
            elif float((reference[i] - reference[j]).norm()) < doubt:
                far, counted = far + max(d - near, 0) ** 2, counted + 1
    assert 0 < counted < 3
    loss = contrastive_of_all(embeddings, reference, labels, margin, near, doubt)
    assert loss.item() == pytest.approx(far / counted + close / 6, abs=1e-5)
