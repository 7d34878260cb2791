"""Says in plain words what fine-tuning changed, from two comparisons of the bundles before and after."""

from model.evaluation.comparison import EER, Comparison


def is_better(compared: Comparison) -> bool:
    """Whether the second bundle has the lower equal error rate; a tie goes to the first."""
    return compared.figures[EER][2].value < 0


def report(chosen: Comparison, measured: Comparison, people: int, *, kept_tuned: bool) -> str:
    """`chosen`: on the people who chose which weights to keep; `measured`: on the `people` who chose nothing."""
    before, after, change = measured.figures[EER]
    low, high = change.ci95
    if before.value == 0 and after.value == 0:
        said = "Nothing to gain on the test people: neither the bundle before nor the tuned one makes an error on them."
    elif high < 0:
        said = "Fine-tuning helped."
    elif low > 0:
        said = "Fine-tuning did not help: it made the bundle worse."
    else:
        said = f"No difference can be told: {people} test people are too few for one this small, or there is none."
    kept = "the tuned weights" if kept_tuned else "the weights before"
    better = "better" if is_better(chosen) else "no better"
    return (
        f"{said}\nEqual error rate on {people} people who neither trained nor chose: {before.value:.4f} before, "
        f"{after.value:.4f} after, change {change.value:+.4f} (95 %: {low:+.4f} to {high:+.4f}).\n"
        f"Kept: {kept}; the tuned ones are {better} on the people who choose."
    )
