import itertools

import numpy as np
import pytest

from model.data.dataset import Dataset
from model.data.people import Fingerprint
from model.embedding.embedder import distances
from model.evaluation.calibration_data import calibrate_dataset, histogram
from model.faces.face import Quality
from model.manifest import Histogram

LABELS = np.repeat(np.arange(12), 2)
EMBEDDINGS = (LABELS[:, np.newaxis] + np.random.default_rng(1).normal(0, 0.1, (24, 3))).astype(np.float32)
SIZES = np.linspace(30, 250, 24).astype(int)
DATASET = Dataset(
    name="line",
    people=tuple(f"p{i}" for i in range(12)),
    fingerprints=tuple(Fingerprint(f"f{i}", ()) for i in range(12)),
    crops=np.zeros((24, 1, 2, 2), np.uint8),
    labels=LABELS,
    files=("x",) * 24,
    qualities=tuple(Quality(int(size), 0.5, 0.5, 0.0) for size in SIZES),
)


def test_histograms_count_every_pair_and_every_face() -> None:
    found = calibrate_dataset(DATASET, EMBEDDINGS).histograms
    assert found is not None
    genuine = [0] * (len(found.genuine_distance.counts))
    impostor = [0] * (len(found.genuine_distance.counts))
    for one, other in itertools.combinations(range(24), 2):
        distance = float(distances(EMBEDDINGS[one], EMBEDDINGS[other]))
        inside = [low < distance <= high for low, high in itertools.pairwise(found.genuine_distance.edges)]
        (genuine if LABELS[one] == LABELS[other] else impostor)[inside.index(True)] += 1
    assert found.genuine_distance.counts == tuple(genuine)
    assert found.impostor_distance.counts == tuple(impostor)
    assert sum(found.size_px.counts) == sum(found.sharpness.counts) == sum(found.brightness.counts) == 24


@pytest.mark.parametrize(("value", "place"), [(-1.0, 0), (0.0, 0), (0.5, 0), (1.0, 0), (1.1, 1), (2.0, 1), (9.0, 2)])
def test_a_value_is_counted_where_prometheus_counts_it(value: float, place: int) -> None:
    counts = [0, 0, 0]
    counts[place] = 1
    assert histogram([value], [0, 1, 2, 3]) == Histogram((0.0, 1.0, 2.0, 3.0), tuple(counts))
