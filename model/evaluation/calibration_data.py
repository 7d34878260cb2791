"""Turns people and their embeddings into the whole calibration of a bundle. It saves nothing."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from model.data.dataset import Dataset
from model.data.pairs import all_pairs
from model.domain import domain_of
from model.error_rates.scores import Scores
from model.evaluation.calibration import calibrate
from model.evaluation.identification import identification_of
from model.evaluation.scoring import score
from model.evaluation.with_warning import with_warnings
from model.manifest import Calibration, GenuineTail, Histogram, Histograms

_DISTANCE_BINS = 60
_SIZE_EDGES = (0, 20, 30, 40, 60, 80, 100, 130, 170, 220, 300, 400, 600, 1000, 2000, 5000)
_SHARE_EDGES = np.linspace(0, 1, 21)


def calibrate_dataset(
    dataset: Dataset, embeddings: NDArray[np.float32], fallback_genuine: GenuineTail | None = None
) -> Calibration:
    """Operating points, tails, histograms, domain and searches of these people; embeddings (pictures, embedding_size).

    Where nobody has two pictures, FNMRs are those of `fallback_genuine`. Raises DataError as `calibrate` does.
    """
    pairs = all_pairs(dataset.labels)
    scores = score(embeddings, dataset.labels, pairs)
    calibration = msgspec.structs.replace(
        calibrate(scores, dataset.source, fallback_genuine=fallback_genuine),
        histograms=_histograms(scores, dataset),
        domain=domain_of(embeddings, dataset.qualities, len(dataset.people)),
        identification=identification_of(embeddings, dataset.labels),
    )
    return with_warnings(calibration, dataset, embeddings, pairs, scores) if dataset.warnings else calibration


def _histograms(scores: Scores, dataset: Dataset) -> Histograms:
    distance_edges = np.linspace(0, scores.distance.max() * 1.01, _DISTANCE_BINS + 1)
    return Histograms(
        impostor_distance=histogram(scores.impostor_distances, distance_edges),
        genuine_distance=histogram(scores.genuine_distances, distance_edges),
        size_px=histogram([quality.size_px for quality in dataset.qualities], _SIZE_EDGES),
        sharpness=histogram([quality.sharpness for quality in dataset.qualities], _SHARE_EDGES),
        brightness=histogram([quality.brightness for quality in dataset.qualities], _SHARE_EDGES),
    )


def histogram(values: Sequence[float] | NDArray[np.float64], edges: Sequence[float] | NDArray[np.float64]) -> Histogram:
    """Counts as Prometheus keeps them: a value on an edge belongs to the bin below; outliers to the end bins."""
    told = np.round(np.asarray(edges, np.float64), 4)
    bins = np.clip(np.searchsorted(told, values, side="left") - 1, 0, len(told) - 2)
    return Histogram(tuple(told.tolist()), tuple(np.bincount(bins, minlength=len(told) - 1).tolist()))
