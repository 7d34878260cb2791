"""Stored embeddings to decisions; knows no picture, no HTTP and no tensor."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.decision import Decision, Policy
from model.embedding.embedder import distances
from model.manifest import LENGTH_TOLERANCE, Manifest, contract_id


class ContractMismatchError(Exception):
    """The embeddings lie in another space than those of the bundle."""


class InvalidEmbeddingError(Exception):
    """An embedding has another dimension than the bundle's, a value that is not finite, or not unit length."""


def compare(
    manifest: Manifest,
    policy: Policy,
    embedding: Sequence[float],
    others: Sequence[Sequence[float]],
    contract: str,
    fmr: float | None = None,
) -> list[Decision]:
    """Judges one embedding against each of the others at an FMR for each comparison.

    Raises ContractMismatchError, LevelNotSupported or InvalidEmbeddingError.
    """
    if contract != contract_id(manifest):
        raise ContractMismatchError
    policy.operating_point(fmr)
    one, *rest = _embeddings(manifest, [embedding, *others])
    return [policy.decide(distance, fmr) for distance in distances(one, np.stack(rest)).tolist()]


def _embeddings(manifest: Manifest, rows: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    """Shape (rows, embedding_size). Raises InvalidEmbeddingError."""
    if any(len(row) != manifest.embedding_size for row in rows):
        raise InvalidEmbeddingError
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        embeddings = np.array(rows, np.float64).astype(np.float32)
    if not np.isfinite(embeddings).all():
        raise InvalidEmbeddingError
    lengths = np.linalg.norm(embeddings, axis=1)
    if manifest.normalized and (np.abs(lengths - 1) > LENGTH_TOLERANCE).any():
        raise InvalidEmbeddingError
    return embeddings
