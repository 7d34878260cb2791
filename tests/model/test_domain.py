import numpy as np
import pytest

from model.domain import domain_of, is_out_of_domain
from model.faces.face import Quality
from model.manifest import Domain

RNG = np.random.default_rng(0)
EMBEDDINGS = RNG.normal(0, 1, (500, 8)).astype(np.float32)
QUALITIES = [Quality(90, float(sharp), float(bright), 0.0) for sharp, bright in RNG.uniform(0.3, 0.7, (500, 2))]
USUAL = Quality(90, 0.5, 0.5, 0.0)
MEAN = EMBEDDINGS.mean(axis=0)


@pytest.fixture(scope="module")
def domain() -> Domain:
    return domain_of(EMBEDDINGS, QUALITIES, people=10**6)


def test_nearly_all_of_its_own_pictures_are_in_the_domain(domain: Domain) -> None:
    unlike = sum(is_out_of_domain(domain, q, e) for q, e in zip(QUALITIES, EMBEDDINGS, strict=True))
    assert 1 <= unlike <= 7  # at most two of a thousand by each end of each measure


@pytest.mark.parametrize(
    "quality",
    [Quality(90, 0.1, 0.5, 0.0), Quality(90, 0.9, 0.5, 0.0), Quality(90, 0.5, 0.9, 0.0), Quality(90, 0.5, 0.5, 0.1)],
)
def test_an_unusual_picture_is_not(domain: Domain, quality: Quality) -> None:
    usual = EMBEDDINGS[np.argsort(np.linalg.norm(EMBEDDINGS - MEAN, axis=1))[250]]
    assert not is_out_of_domain(domain, USUAL, usual)
    assert is_out_of_domain(domain, quality, usual)


def test_an_embedding_far_from_all_or_at_the_very_middle_is_not(domain: Domain) -> None:
    assert is_out_of_domain(domain, USUAL, np.full(8, 9, np.float32))
    assert is_out_of_domain(domain, USUAL, MEAN)


def test_few_people_make_a_wider_domain(domain: Domain) -> None:
    few = domain_of(EMBEDDINGS, QUALITIES, people=16)
    (low, high), wide = domain.brightness, few.brightness
    assert (low - wide[0], wide[1] - high) == pytest.approx(((high - low) / 4, (high - low) / 4), abs=1e-3)
    assert few.colour == pytest.approx((0, 0), abs=2e-4)


def test_a_measure_that_never_varies_is_in_its_own_domain(domain: Domain) -> None:
    assert domain.colour[0] <= 0 <= domain.colour[1] < 0.001
