"""Judges the tutorial's network in two ways: on pairs of people seen in training, and on people never seen."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from model.data.dataset import Dataset
from model.data.pairs import Pairs, all_pairs
from model.data.splits import folds
from model.error_rates.scores import Scores, accuracy, curve, precision
from model.evaluation.scoring import score
from model.training.trainable import embed
from model.training.tutorial import EpochReport, TutorialRecipe, TutorialRun, fit, split_pairs

TUTORIAL_THRESHOLD = 0.5


@dataclass(frozen=True)
class ProtocolFigures:
    """Figures of one trained network; "at half" means at the tutorial's threshold, a distance of 0.5.

    `precision_at_half` is what the tutorial calls accuracy: the share of genuine pairs among those accepted.
    """

    people: int
    genuine_pairs: int
    impostor_pairs: int
    auc: float
    eer: float
    accuracy_at_half: float
    precision_at_half: float
    fmr_at_half: float
    fnmr_at_half: float
    loss: float
    validation_loss: float


def run_figures(run: TutorialRun, dataset: Dataset, pairs: Pairs) -> ProtocolFigures:
    """The figures of a finished run on these pairs of the data set."""
    scores = score(embed(run.network, dataset.crops), dataset.labels, pairs)
    return _figures(scores, run.reports[-1])


def tutorial_protocol(dataset: Dataset, recipe: TutorialRecipe) -> ProtocolFigures:
    """Trains on three quarters of the pairs and measures on the rest: the same people, often the same pictures."""
    run, split = TutorialRun(recipe), split_pairs(dataset, recipe)
    _finish(fit(run, dataset.crops, split))
    return run_figures(run, dataset, split.test)


def disjoint_protocol(dataset: Dataset, recipe: TutorialRecipe, count: int) -> Iterator[ProtocolFigures]:
    """For each fold over people: trains on the others, measures on all pairs of the fold, never across folds."""
    for seen, unseen in folds(len(dataset.people), count, np.random.default_rng(recipe.seed)):
        run, training = TutorialRun(recipe), dataset.of(seen)
        _finish(fit(run, training.crops, split_pairs(training, recipe)))
        measured = dataset.of(unseen)
        yield run_figures(run, measured, all_pairs(measured.labels))


def mean(figures: Iterable[ProtocolFigures]) -> dict[str, float]:
    """The mean of each rate over folds; people and pairs are added up."""
    rows = [vars(figure) for figure in figures]
    totals = ("people", "genuine_pairs", "impostor_pairs")
    return {name: sum(row[name] for row in rows) / (1 if name in totals else len(rows)) for name in rows[0]}


def _finish(epochs: Iterator[EpochReport]) -> None:
    for _ in epochs:
        pass


def _figures(scores: Scores, last: EpochReport) -> ProtocolFigures:
    rates = curve(scores)
    fmr, fnmr = rates.at(np.array([TUTORIAL_THRESHOLD]))
    return ProtocolFigures(
        people=scores.people,
        genuine_pairs=len(scores.genuine_distances),
        impostor_pairs=len(scores.impostor_distances),
        auc=rates.auc,
        eer=rates.eer,
        accuracy_at_half=accuracy(scores, TUTORIAL_THRESHOLD),
        precision_at_half=precision(scores, TUTORIAL_THRESHOLD),
        fmr_at_half=float(fmr[0]),
        fnmr_at_half=float(fnmr[0]),
        loss=last.loss,
        validation_loss=last.validation_loss,
    )
