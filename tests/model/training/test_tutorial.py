from dataclasses import replace
from pathlib import Path

import makers
import numpy as np
import pytest
import torch

from model.data.dataset import Dataset, load
from model.data.people import PeopleFolder
from model.faces.finder import WholePicture
from model.training.losses import contrastive
from model.training.trainable import embed, weights_of
from model.training.tutorial import (
    TUTORIAL_CROP,
    EpochReport,
    TutorialRecipe,
    TutorialRun,
    fit,
    split_pairs,
    train_step,
)

RECIPE = replace(TutorialRecipe(), genuine_pairs=100, impostor_pairs=100, batch_pairs=32, epochs=3)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = makers.write_people(tmp_path_factory.mktemp("data") / "people", people=6, pictures=4)
    return load(PeopleFolder(folder), WholePicture(TUTORIAL_CROP))


def train(dataset: Dataset, run: TutorialRun) -> list[EpochReport]:
    return list(fit(run, dataset.crops, split_pairs(dataset, run.recipe)))


def test_the_recipe_is_the_tutorials() -> None:
    recipe = TutorialRecipe()
    assert (recipe.genuine_pairs, recipe.impostor_pairs, recipe.margin) == (10_000, 10_000, 1)
    assert (recipe.batch_pairs, recipe.epochs, recipe.learning_rate) == (128, 13, 1e-3)
    optimizer = TutorialRun(recipe).optimizer
    assert {key: optimizer.defaults[key] for key in ("alpha", "eps", "momentum", "centered")} == {
        "alpha": 0.9, "eps": 1e-7, "momentum": 0, "centered": False,
    }  # fmt: skip


def test_pairs_are_parted_as_in_the_tutorial(dataset: Dataset) -> None:
    split = split_pairs(dataset, TutorialRecipe())
    assert (len(split.training), len(split.validation), len(split.test)) == (11_250, 3_750, 5_000)
    genuine = sum(part.genuine.sum() for part in (split.training, split.validation, split.test))
    assert genuine == 10_000
    assert 0.45 < split.test.genuine.mean() < 0.55


def test_training_lowers_the_loss(dataset: Dataset) -> None:
    reports = train(dataset, TutorialRun(replace(RECIPE, epochs=10)))
    assert [report.epoch for report in reports] == list(range(1, 11))
    assert reports[-1].loss < reports[0].loss * 0.7
    assert reports[-1].validation_loss < reports[0].validation_loss


def test_the_same_seed_gives_the_same_weights_and_another_does_not(dataset: Dataset) -> None:
    runs = [TutorialRun(RECIPE), TutorialRun(RECIPE), TutorialRun(replace(RECIPE, seed=1))]
    reports = [train(dataset, run) for run in runs]
    weights = [weights_of(run.network) for run in runs]
    assert reports[0] == reports[1] != reports[2]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not np.array_equal(weights[0]["layers.0.weight"], weights[2]["layers.0.weight"])


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_resumed_run_comes_to_the_same_weights(dataset: Dataset, tmp_path: Path, stop_after: int) -> None:
    whole = TutorialRun(RECIPE)
    train(dataset, whole)
    killed = TutorialRun(RECIPE)
    epochs = fit(killed, dataset.crops, split_pairs(dataset, RECIPE))
    for _ in range(stop_after):
        next(epochs)
    torch.save(killed.state(), tmp_path / "checkpoint")
    torch.manual_seed(999)
    resumed = TutorialRun(RECIPE)
    resumed.restore(torch.load(tmp_path / "checkpoint", weights_only=True))
    train(dataset, resumed)
    assert resumed.reports == whole.reports
    expected, found = weights_of(whole.network), weights_of(resumed.network)
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_a_checkpoint_of_another_recipe_is_refused() -> None:
    with pytest.raises(ValueError, match="another recipe"):
        TutorialRun(RECIPE).restore(TutorialRun(replace(RECIPE, margin=2.0)).state())


def test_the_towers_share_weights_but_not_dropout() -> None:
    run = TutorialRun(RECIPE)
    run.network.train()
    crops = torch.from_numpy(makers.face(1)[::2, ::2][np.newaxis, np.newaxis].copy()).repeat(4, 1, 1, 1)
    loss = train_step(run, crops, crops, torch.ones(4, dtype=torch.bool))
    assert loss > 0  # equal pictures lie apart only by dropout


def test_validation_loss_is_the_loss_without_dropout(dataset: Dataset) -> None:
    run = TutorialRun(RECIPE)
    split = split_pairs(dataset, RECIPE)
    report = next(iter(fit(run, dataset.crops, split)))
    embeddings = torch.from_numpy(embed(run.network, dataset.crops))
    pairs = split.validation
    slow = [
        contrastive(embeddings[[a]], embeddings[[b]], torch.tensor([g])).item()
        for a, b, g in zip(pairs.first.tolist(), pairs.second.tolist(), pairs.genuine.tolist(), strict=True)
    ]
    assert report.validation_loss == pytest.approx(np.mean(slow), rel=1e-4)
