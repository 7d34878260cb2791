"""Computes losses on embeddings of pairs; each loss is one function."""

import torch
from torch import Tensor


def contrastive(first: Tensor, second: Tensor, genuine: Tensor, margin: float = 1.0) -> Tensor:
    """Mean over pairs of y d^2 + (1 - y) max(margin - d, 0)^2, with d the Euclidean distance.

    first, second: float (N, size); genuine: bool (N,), y in the formula. Returns a scalar.
    Source: Hadsell, Chopra, LeCun, "Dimensionality reduction by learning an invariant mapping" (2006).
    """
    distance = torch.linalg.vector_norm(first - second, dim=1)
    apart = torch.clamp(margin - distance, min=0)
    return torch.where(genuine, distance.square(), apart.square()).mean()


def contrastive_of_all(
    embeddings: Tensor, reference: Tensor, labels: Tensor, margin: float, near: float, doubt: float
) -> Tensor:
    """The contrastive loss of all pairs of a batch that still have something to learn, for unit vectors.

    Pairs of one person count by max(d - near, 0)^2, averaged, pairs of strangers by max(margin - d, 0)^2, added up a
    picture (most are 0). Pairs of one person that are farther apart than `doubt` in the `reference` embeddings are
    left out: labels have errors. embeddings, reference: float (N, size); labels: int (N,). Returns a scalar.
    """
    distance = torch.cdist(embeddings, embeddings)
    same = labels[:, None] == labels[None, :]
    once = torch.ones_like(same).triu(diagonal=1)
    genuine = same & once & (torch.cdist(reference, reference) < doubt)
    too_far = torch.clamp(distance[genuine] - near, min=0).square()
    too_close = torch.clamp(margin - distance[~same & once], min=0).square()
    return too_far.sum() / max(len(too_far), 1) + too_close.sum() / len(embeddings)
