"""Drift of counts whose truth is known, and the script on the text of a registry."""

import drift as script
import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from model.data.people import DataError
from model.evaluation.calibration_data import histogram
from model.evaluation.drift import distance_drift, drift
from model.manifest import Histograms

EDGES = np.linspace(0, 1, 21)


def drawn(seed: int, middle: float, count: int, spread: float = 0.1) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(middle, spread, count)


CALIBRATED = Histograms(
    impostor_distance=histogram(drawn(0, 0.7, 40_000, 0.06), EDGES),
    genuine_distance=histogram(drawn(1, 0.3, 4_000, 0.06), EDGES),
    size_px=histogram(drawn(2, 90, 3_000, 20), [0, 40, 60, 80, 100, 130, 200]),
    sharpness=histogram(drawn(3, 0.5, 3_000), EDGES),
    brightness=histogram(drawn(4, 0.5, 3_000), EDGES),
)


def counts(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array(histogram(values, EDGES).counts, np.float64)


def test_the_index_is_that_of_the_definition() -> None:
    found = drift("x", np.array([1000.0, 3000, 6000]), np.array([200.0, 300, 500]))
    expected, seen = np.array([0.1, 0.3, 0.6]), np.array([0.2, 0.3, 0.5])
    assert found.index == pytest.approx(
        sum((s - e) * np.log(s / e) for s, e in zip(seen, expected, strict=True)), rel=0.02
    )


def test_without_change_chance_is_exceeded_one_time_in_twenty() -> None:
    found = [drift("x", counts(drawn(9, 0.5, 3000)), counts(drawn(100 + run, 0.5, 500))) for run in range(400)]
    assert 0.01 <= np.mean([each.index > each.chance for each in found]) <= 0.1
    assert {each.verdict for each in found} == {"unchanged"}


@pytest.mark.parametrize(
    ("middle", "count", "verdict"),
    [(0.5, 500, "unchanged"), (0.54, 500, "changed a little"), (0.7, 500, "changed"), (0.5, 20, "too few to say")],
)
def test_a_shift_is_seen_where_there_is_enough_to_see(middle: float, count: int, verdict: str) -> None:
    assert drift("x", counts(drawn(5, 0.5, 3000)), counts(drawn(6, middle, count))).verdict == verdict


def test_how_many_pairs_are_of_one_person_is_no_drift() -> None:
    for share in (0.1, 0.8):
        seen = np.concatenate([drawn(7, 0.3, int(2000 * share), 0.06), drawn(8, 0.7, int(2000 * (1 - share)), 0.06)])
        found, fitted = distance_drift(CALIBRATED, counts(seen))
        assert found.verdict == "unchanged"
        assert fitted == pytest.approx(share, abs=0.03)
    other_people = np.concatenate([drawn(7, 0.42, 1000, 0.06), drawn(8, 0.6, 1000, 0.06)])
    assert distance_drift(CALIBRATED, counts(other_people))[0].verdict == "changed"


def metrics(brightness: float) -> str:
    registry = CollectorRegistry()
    shown = {
        "facepair_distance": (CALIBRATED.impostor_distance, drawn(11, 0.7, 900, 0.06)),
        "facepair_face_size_pixels": (CALIBRATED.size_px, drawn(12, 90, 900, 20)),
        "facepair_face_sharpness": (CALIBRATED.sharpness, drawn(13, 0.5, 900)),
        "facepair_face_brightness": (CALIBRATED.brightness, drawn(14, brightness, 900)),
    }
    for name, (calibrated, values) in shown.items():
        series = Histogram(name, name, registry=registry, buckets=calibrated.edges[1:])
        for value in values:
            series.observe(value)
    return generate_latest(registry).decode()


def test_the_script_says_whether_cameras_or_people_have_changed() -> None:
    assert "Nothing shows that cameras or people have changed." in script.report(CALIBRATED, metrics(0.5))
    darker = script.report(CALIBRATED, metrics(0.3))
    assert "| brightness | 900 | " in darker
    assert "The pictures have changed (brightness)" in darker
    assert "if 0% of the compared pairs show one person" in darker
    since = script.report(CALIBRATED, metrics(0.5), metrics(0.5))
    assert "There is too little to say more." in since


@pytest.mark.parametrize(("text", "reason"), [("", "is another one served"), ("{{{", "not the text of /metrics")])
def test_a_text_that_does_not_fit_is_a_clear_error(text: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        script.report(CALIBRATED, text)
