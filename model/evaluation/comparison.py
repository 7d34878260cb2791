"""Compares two bundles on the same pairs of pictures. It writes nothing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.dataset import Dataset, Indices
from model.data.pairs import all_pairs
from model.embedding.embedder import Embedder
from model.error_rates import intervals
from model.error_rates.intervals import Estimate
from model.error_rates.sample_size import estimate, people_with_genuine_pairs, reaches
from model.error_rates.scores import Curve, curve
from model.evaluation.scoring import score

_LEVELS = (1e-1, 1e-2, 1e-3)
EER = "equal error rate"


def _fnmr_at(fmr: float) -> str:
    return f"FNMR at FMR {fmr:g}"


_FIGURES = ("ROC AUC", EER, *map(_fnmr_at, _LEVELS))


@dataclass(frozen=True)
class Comparison:
    """Two bundles on the very same pairs, each figure with its 95 % interval; differences by paired resampling."""

    bundles: tuple[str, str]
    genuine_pairs: int
    impostor_pairs: int
    figures: dict[str, tuple[Estimate, Estimate, Estimate]]  # the first, the second, the second minus the first; FNMRs
    # at the levels that so many impostor pairs reach


def compare(embedder: Embedder, dataset: Dataset, other: Embedder, others_dataset: Dataset) -> Comparison:
    """Compares both bundles on all pairs of the pictures that both can use. Both data sets hold the same people."""
    rows, others_rows = _common(dataset, others_dataset)
    labels = dataset.labels[rows]
    pairs = all_pairs(labels)
    scores = [
        score(either.embed(crops), labels, pairs)
        for either, crops in ((embedder, dataset.crops[rows]), (other, others_dataset.crops[others_rows]))
    ]
    measured = [_rates(curve(of_bundle)) for of_bundle in scores]
    resampled = [intervals.bootstrap(of_bundle, _rates) for of_bundle in scores]  # one seed: the same people are drawn
    people = people_with_genuine_pairs(scores[0])
    same = np.array_equal(scores[0].distance, scores[1].distance)
    figures = {}
    for i, name in enumerate(_FIGURES):
        one, two = (estimate(m[i], r[:, i], people) for m, r in zip(measured, resampled, strict=True))
        gap, gaps = measured[1][i] - measured[0][i], resampled[1][:, i] - resampled[0][:, i]
        figures[name] = one, two, Estimate(0.0, (0.0, 0.0)) if same else estimate(gap, gaps, people, lowest=-1.0)
    impostors = int((~pairs.genuine).sum())
    beyond = {_fnmr_at(fmr) for fmr in _LEVELS if not reaches(fmr, impostors)}
    return Comparison(
        (embedder.manifest.name, other.manifest.name),
        int(pairs.genuine.sum()),
        impostors,
        {name: three for name, three in figures.items() if name not in beyond},
    )


def _common(dataset: Dataset, other: Dataset) -> tuple[Indices, Indices]:
    places = [
        {
            (either.people[label], file): row
            for row, (label, file) in enumerate(zip(either.labels, either.files, strict=True))
        }
        for either in (dataset, other)
    ]
    common = [place for place in places[0] if place in places[1]]
    first, second = (np.array([place[picture] for picture in common]) for place in places)
    return first, second


def _rates(rates: Curve) -> NDArray[np.float64]:
    return np.array([rates.auc, rates.eer, *(rates.fnmr_at(fmr) for fmr in _LEVELS)])
