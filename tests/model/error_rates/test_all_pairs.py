import itertools

import numpy as np
import pytest

from model.embedding.embedder import distances
from model.error_rates import all_pairs
from model.error_rates.all_pairs import count
from model.error_rates.at_thresholds import RatesAtThresholds
from model.error_rates.scores import Scores

RNG = np.random.default_rng(3)
LABELS = np.sort(RNG.integers(0, 40, 150))
POINTS = (RNG.normal(0, 1, (40, 6))[LABELS] + RNG.normal(0, 0.3, (150, 6))).astype(np.float32)
FIRST, SECOND = np.triu_indices(150, k=1)
DISTANCES = distances(POINTS[FIRST], POINTS[SECOND])
# On distances that occur, so that rounding would show.
THRESHOLDS = np.sort(np.concatenate([np.sort(DISTANCES)[[0, 50, 400, 3000]], [0.0, 1.0]]))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(all_pairs, "_BLOCK", 64)


def test_every_pair_is_counted_once_where_a_loop_counts_it() -> None:
    found = count(POINTS, LABELS, THRESHOLDS)
    accepted = np.zeros((2, 40, len(THRESHOLDS)))
    pairs = np.zeros((2, 40))
    for one, other in itertools.combinations(range(150), 2):
        close = float(distances(POINTS[one], POINTS[other])) <= THRESHOLDS
        genuine = int(LABELS[one] == LABELS[other])
        for person in {LABELS[one], LABELS[other]}:
            accepted[genuine, person] += close
            pairs[genuine, person] += 1
    assert np.array_equal(found.accepted, accepted)
    assert np.array_equal(found.pairs, pairs)
    assert found.impostor_pairs + found.genuine_pairs == 150 * 149 // 2


def test_rates_and_intervals_are_near_those_of_every_pair_kept() -> None:
    found = count(POINTS, LABELS, THRESHOLDS)
    kept = RatesAtThresholds(
        Scores(DISTANCES, LABELS[FIRST] == LABELS[SECOND], LABELS[FIRST], LABELS[SECOND]), THRESHOLDS
    )
    assert found.accepted_share(0) == pytest.approx(kept.fmr)
    assert found.accepted_share(1) == pytest.approx(1 - kept.fnmr)
    last = len(THRESHOLDS) - 1
    assert found.ci95(0, last) == pytest.approx(kept.fmr_ci95(last), rel=0.35)
    low, high = found.ci95(1, last)
    assert (1 - high, 1 - low) == pytest.approx(kept.fnmr_ci95(last), abs=0.03)
