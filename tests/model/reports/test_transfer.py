"""Ratios are those of the reports, the worst comes first, and few errors never lead."""

from typing import Any

import pytest

from model.reports.transfer import markdown, transfers


def report(name: str, rates: dict[float, float], impostor_pairs: int = 100_000, chose: int = 0) -> dict[str, Any]:
    return {
        "data": {"name": name, "people": ["a"] * 40},
        "people_that_chose_thresholds": chose,
        "impostor_pairs": impostor_pairs,
        "rates": [{"level": level, "fmr": {"value": v, "ci95": [v / 2, v * 3]}} for level, v in rates.items()],
    }


def test_the_worst_of_those_on_enough_errors_comes_first() -> None:
    reports = [report("web", {1e-2: 0.012, 1e-3: 0.0009}), report("lab", {1e-3: 0.0039, 1e-4: 0.0002})]
    measured = transfers(reports, {"lab": "the laboratory"})
    assert [(t.data, t.level, t.errors) for t in measured] == [
        ("the laboratory", 1e-3, 390),
        ("`web`", 1e-2, 1200),
        ("`web`", 1e-3, 90),
        ("the laboratory", 1e-4, 20),  # twice, but of 20 errors
    ]
    assert measured[0].ratio == pytest.approx(3.9)
    assert measured[0].ci95 == pytest.approx((1.95, 11.7))
    text = markdown(measured)
    assert "on the laboratory, at the threshold for FMR 0.001, **3.9 times**" in text.split("\n\n")[0]
    assert "| the laboratory | 40 | 0.0001 | 2 (1 to 6) | 20, fewer than 30: uncertain |" in text


def test_people_who_chose_the_threshold_show_no_transfer() -> None:
    assert transfers([report("own", {1e-2: 0.01}, chose=3)]) == []
    assert markdown([]) == ""
