"""Rates for pictures with warnings are those of a count by hand, at thresholds that stay."""

import itertools
from dataclasses import replace

import makers
import numpy as np
import pytest

from model.embedding.embedder import distances
from model.evaluation.calibration_data import calibrate_dataset
from model.faces.face import FaceWarning
from model.manifest import Calibration

PEOPLE = 60
LABELS = np.repeat(np.arange(PEOPLE), 2)
TURNED = LABELS < 30  # both pictures of every other person, and they lie closer together than others
RNG = np.random.default_rng(3)
EMBEDDINGS = (
    RNG.uniform(0, 1, (PEOPLE, 3))[LABELS] * np.where(TURNED, 0.5, 1.0)[:, np.newaxis]
    + RNG.normal(0, 0.03, (2 * PEOPLE, 3))
).astype(np.float32)
DATASET = makers.pairs_of_pictures(PEOPLE, tuple((FaceWarning.HEAD_TURNED,) if turned else () for turned in TURNED))


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return calibrate_dataset(DATASET, EMBEDDINGS)


def test_the_rates_are_those_of_pairs_with_such_a_picture(calibration: Calibration) -> None:
    level = calibration.levels[0]
    point, (turned,) = level.operating_point, level.with_warning
    assert point is not None
    kinds: dict[bool, list[bool]] = {True: [], False: []}
    for one, other in itertools.combinations(range(2 * PEOPLE), 2):
        if TURNED[one] or TURNED[other]:
            accepted = float(distances(EMBEDDINGS[one], EMBEDDINGS[other])) <= turned.threshold
            kinds[bool(LABELS[one] == LABELS[other])].append(accepted)
    assert (turned.fmr, turned.threshold) == (point.fmr, point.threshold)
    assert (turned.measured_on, point.measured_on) == ("head_turned", "all")
    assert turned.measured_fmr == pytest.approx(np.mean(kinds[False]), rel=0.005)
    assert turned.fnmr == pytest.approx(1 - np.mean(kinds[True]), abs=1e-3)
    assert (turned.impostor_pairs, turned.genuine_pairs) == (len(kinds[False]), len(kinds[True]))
    assert turned.people == 30
    assert turned.fmr_ci95[0] <= (turned.measured_fmr or 0) <= turned.fmr_ci95[1]


def test_a_level_needs_as_many_people_with_such_a_picture_as_any_calibration(calibration: Calibration) -> None:
    measured = {level.fmr: [point.measured_on for point in level.with_warning] for level in calibration.levels}
    assert measured[0.1] == measured[0.01] == ["head_turned"]  # thirty people make 435 pairs of people, 300 are needed
    assert measured[1e-3] == []


def test_without_such_pictures_or_where_warnings_were_not_kept_nothing_is_added() -> None:
    for warnings in ((), ((),) * 2 * PEOPLE):
        levels = calibrate_dataset(replace(DATASET, warnings=warnings), EMBEDDINGS).levels
        assert [level.with_warning for level in levels] == [()] * len(levels)
