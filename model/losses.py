"""Losses on embeddings of pairs; each is one function."""

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
