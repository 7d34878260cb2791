"""Checks whether a face is like the calibration's faces. It does not decide whose face it is."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.faces.face import Quality
from model.manifest import Domain

_DECIMALS = 4
_ENDS = (0.1, 99.9)


def domain_of(embeddings: NDArray[np.float32], qualities: Sequence[Quality], people: int) -> Domain:
    """Says what these pictures are like. Takes embeddings (pictures, embedding_size), qualities in the same order.

    Widens each range by 1/sqrt(people) at both ends, because few people under-sample it.
    """
    mean = np.round(embeddings.mean(axis=0, dtype=np.float64), _DECIMALS)
    return Domain(
        sharpness=_range([quality.sharpness for quality in qualities], people),
        brightness=_range([quality.brightness for quality in qualities], people),
        colour=_range([quality.colour for quality in qualities], people),
        from_mean=_range(np.linalg.norm(embeddings - mean, axis=1), people),
        mean_embedding=tuple(mean.tolist()),
    )


def is_out_of_domain(domain: Domain, quality: Quality, embedding: NDArray[np.float32]) -> bool:
    """True where a measure of the face lies beyond what all but one in five hundred calibration pictures show.

    Then the operating point may not hold: its error rates were measured on other pictures.
    """
    from_mean = float(np.linalg.norm(embedding - np.array(domain.mean_embedding)))
    measured = [
        (quality.sharpness, domain.sharpness),
        (quality.brightness, domain.brightness),
        (quality.colour, domain.colour),
        (from_mean, domain.from_mean),
    ]
    return any(not low <= value <= high for value, (low, high) in measured)


def _range(values: Sequence[float] | NDArray[np.floating], people: int) -> tuple[float, float]:
    low, high = np.percentile(values, _ENDS)
    # What is constant in the data is not out of its own domain for being rounded.
    slack = float(high - low) / people**0.5 + 10.0**-_DECIMALS
    return round(float(low) - slack, _DECIMALS), round(float(high) + slack, _DECIMALS)
