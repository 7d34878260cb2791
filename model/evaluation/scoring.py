"""Selects which people and pairs are measured, and computes their distances. It counts no error."""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from model.data.dataset import Dataset, Indices
from model.data.pairs import Pairs, all_pairs
from model.data.people import DataError, PeopleFolder
from model.embedding.embedder import Embedder, distances
from model.error_rates.sample_size import LEVELS, too_few_people
from model.error_rates.scores import Scores
from model.manifest import Manifest

_PAIRS_AT_ONCE = 65_536  # 64 MiB at 128 values

_MOST_PICTURES = 15_000  # 112 million pairs: some ten gigabytes


def untrained(manifests: Sequence[Manifest], folder: PeopleFolder) -> list[str]:
    """Names of the people whom no bundle has learnt from, in its training or before it."""
    trained = folder.known_to(frozenset().union(*(manifest.training.seen for manifest in manifests)))
    return [name for name in folder.files if name not in trained]


def unseen_by(manifests: Sequence[Manifest], folder: PeopleFolder) -> list[str]:
    """Names of the people to measure the bundles on: whom none has learnt from.

    Those who chose thresholds are left out as well, where the others are enough to support a level. Raises DataError
    where nobody is left.
    """
    unseen = untrained(manifests, folder)
    if len(unseen) < 2:
        raise DataError(f"{len(unseen)} of these {len(folder.files)} people were not in training, nobody to compare")
    chose = who_chose(manifests, folder, unseen)
    others = [name for name in unseen if name not in chose]
    return unseen if too_few_people(len(others), LEVELS[0]) else others


def who_chose(manifests: Sequence[Manifest], folder: PeopleFolder, names: Collection[str]) -> set[str]:
    """Those of these names whose people chose the thresholds of any of the bundles."""
    sources = [manifest.calibration.data.digests for manifest in manifests if manifest.calibration]
    return folder.known_to(frozenset().union(*sources)) & {*names}


def score(embeddings: NDArray[np.float32], labels: Indices, pairs: Pairs) -> Scores:
    """The distances of the pairs, with the people (labels) of each."""
    parts = [slice(start, start + _PAIRS_AT_ONCE) for start in range(0, len(pairs), _PAIRS_AT_ONCE)]
    distance = [distances(embeddings[pairs.first[part]], embeddings[pairs.second[part]]) for part in parts]
    return Scores(np.concatenate(distance), pairs.genuine, labels[pairs.first], labels[pairs.second])


def score_all_pairs(embedder: Embedder, dataset: Dataset) -> Scores:
    """Compares every two pictures of the data set.

    Raises DataError where one kind of pair is missing, or where there are more than memory should be asked for.
    """
    if len(dataset.labels) > _MOST_PICTURES:
        raise DataError(
            f"{dataset.name}: {len(dataset.labels)} pictures make too many pairs to keep, {_MOST_PICTURES} are the "
            "most; scripts/count_all_pairs.py counts theirs"
        )
    scores = score(embedder.embed(dataset.crops), dataset.labels, all_pairs(dataset.labels))
    if scores.genuine.all() or not scores.genuine.any():
        raise DataError(f"{dataset.name}: measuring needs two people, and a person with two pictures")
    return scores
