import pytest

from model.error_rates.intervals import Estimate
from model.evaluation.comparison import EER, Comparison
from model.reports.finetuning import is_better, report


def compared(before: float, after: float, low: float, high: float) -> Comparison:
    change = Estimate(after - before, (low, high))
    exact = [Estimate(value, (value, value)) for value in (before, after)]
    return Comparison(("before", "after"), 10, 100, {EER: (exact[0], exact[1], change)})


@pytest.mark.parametrize(
    ("before", "after", "low", "high", "said"),
    [
        (0.05, 0.03, -0.03, -0.01, "Fine-tuning helped."),
        (0.05, 0.07, 0.01, 0.03, "Fine-tuning did not help"),
        (0.05, 0.04, -0.03, 0.01, "No difference can be told: 12 test people are too few"),
        (0.0, 0.0, 0.0, 0.0, "Nothing to gain"),
    ],
)
def test_the_report_says_plainly_what_was_measured(
    before: float, after: float, low: float, high: float, said: str
) -> None:
    measured = compared(before, after, low, high)
    text = report(measured, measured, 12, kept_tuned=is_better(measured))
    assert text.startswith(said)
    assert f"{before:.4f} before, {after:.4f} after" in text
    assert ("Kept: the tuned weights" in text) is (after < before)


def test_a_tie_keeps_what_was() -> None:
    assert not is_better(compared(0.02, 0.02, 0, 0))
