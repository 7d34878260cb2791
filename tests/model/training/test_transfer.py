from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import makers
import msgspec
import numpy as np
import pytest
import torch
from recipes import transfer
from recipes.options import RunOptions
from service.drawn_faces import portrait
from torch import Tensor, nn

from model.bundle import Bundle
from model.data.dataset import load
from model.data.people import DataError, PeopleFolder
from model.data.splits import finetuning_split, transfer_split
from model.evaluation.scoring import unseen_by
from model.faces.finder import WholePicture
from model.manifest import DataSource
from model.training.augmentation import WIDER, view
from model.training.losses import contrastive_of_all
from model.training.transfer import DistillationData, TransferRecipe, TransferRun, fit, targets
from model.training.tutorial import TUTORIAL_CROP

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


def distillation_data(start: Small) -> DistillationData:
    return DistillationData(WIDE, targets(start, WIDE), LABELS)


def test_a_target_is_the_mean_of_six_views(start: Small) -> None:
    views = [view(WIDE, zoom, mirrored) for zoom in (0.92, 1.0, 1.08) for mirrored in (False, True)]
    total = sum(start(each).detach().numpy() for each in views)
    expected = total / np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(targets(start, WIDE, batch=3), expected, atol=1e-6)


def test_training_brings_spoilt_views_to_the_targets_and_leaves_the_start_alone(start: Small) -> None:
    before = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    run = TransferRun(RECIPE, start)
    reports = list(fit(run, distillation_data(start)))
    assert [report.round for report in reports] == [1, 2]
    assert reports[1].to_target < reports[0].to_target
    for name, tensor in start.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_a_resumed_run_gives_the_same_weights(start: Small) -> None:
    whole, first, second = (TransferRun(RECIPE, start) for _ in range(3))
    list(fit(whole, distillation_data(start)))
    next(fit(first, distillation_data(start)))
    second.restore(first.state())
    assert [report.round for report in fit(second, distillation_data(start))] == [2]
    for name, array in whole.interpolated_weights().items():
        np.testing.assert_array_equal(second.interpolated_weights()[name], array)


def test_another_recipes_checkpoint_is_refused(start: Small) -> None:
    other = TransferRun(replace(RECIPE, seed=1), start)
    with pytest.raises(ValueError, match="another recipe"):
        TransferRun(RECIPE, start).restore(other.state())


def test_the_mix_lies_between_start_and_trained(start: Small) -> None:
    run = TransferRun(replace(RECIPE, mix=0.25, rounds=1), start)
    list(fit(run, distillation_data(start)))
    for name, mixed in run.interpolated_weights().items():
        expected = 0.75 * start.state_dict()[name] + 0.25 * run.network.state_dict()[name]
        np.testing.assert_allclose(mixed, expected, rtol=1e-5, atol=1e-7)


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


def start_that_saw(people: Iterable[str], before: Iterable[str] = ()) -> Bundle:
    made = makers.make_bundle()
    data = DataSource("earlier", "0" * 64, 0, tuple(people))
    training = msgspec.structs.replace(made.manifest.training, data=data, seen_before=tuple(before))
    return replace(made, manifest=msgspec.structs.replace(made.manifest, training=training))


def test_whom_the_start_has_seen_can_only_train(tmp_path: Path) -> None:
    folder = PeopleFolder(makers.write_people(tmp_path / "people", people=26, pictures=2))
    known = [folder.fingerprint(name).recorded for name in folder.files]
    seen = start_that_saw(known[:3], before=known[3:6]).manifest.training.seen
    many = start_that_saw(known[:3], before=known[3:9]).manifest.training.seen
    for split, reason in (
        (transfer_split, "people whom the start has not seen"),
        (finetuning_split, "17 of them not seen"),
    ):
        parts = split(folder, seen, 9, 9, np.random.default_rng(0))
        assert {f"p{number}" for number in range(1, 7)} <= {*parts.training}
        assert (len(parts.training), len(parts.calibration), len(parts.test)) == (8, 9, 9)
        with pytest.raises(DataError, match=reason):
            split(folder, many, 9, 9, np.random.default_rng(0))


def test_a_bundle_remembers_whom_its_start_has_seen(tmp_path: Path) -> None:
    folder = PeopleFolder(makers.write_people(tmp_path / "people", people=21, pictures=2))
    dataset = load(folder, WholePicture(TUTORIAL_CROP))
    known = [fingerprint.recorded for fingerprint in dataset.fingerprints]
    init = start_that_saw(known[:3], before=known[3:6])
    where = RunOptions(folder.path, tmp_path / "ours")
    recipe = replace(RECIPE, backbone="tutorial")
    trained, held_out = dataset.of([6, 7]).source, dataset.of(range(8, 18))
    manifest = transfer.trained_bundle(where, recipe, init, init.weights, trained, held_out).manifest
    assert manifest.training.data.people == tuple(known[6:8])
    assert sorted(manifest.training.seen_before) == sorted(known[:6])
    assert sorted(manifest.training.seen_people) == sorted(known[:8])
    again = msgspec.structs.replace(manifest, calibration=None)
    assert unseen_by([again], folder) == list(dataset.people[8:])
