"""Formats the parts of a report: an evaluation's figures as Markdown. It measures nothing and writes no file."""

from collections.abc import Sequence

from model.error_rates.intervals import Estimate
from model.evaluation.breakdown import GroupRates, PersonErrors
from model.evaluation.evaluation import Evaluation, RatesAtThreshold
from model.manifest import Calibration, Level, OperatingPoint, Training
from model.reports.markdown import table

FEW_ERRORS = 30
"""Fewer errors than this make a rate uncertain: the "rule of 30" of ISO/IEC 19795-1, annex B."""


def in_plain_words(evaluation: Evaluation, calibration: Calibration | None) -> str:
    """Explains the figures to readers who have never heard of a false match rate."""
    at_default = [rate for rate in evaluation.rates if calibration and rate.level == calibration.default_fmr]
    if not at_default:
        return "The bundle has no threshold yet: nothing can be said about its decisions."
    rate = at_default[0]
    strangers = f"1 in {1 / rate.fmr.value:,.0f}" if rate.fmr.value else "none"
    on = "partly on these very people" if evaluation.people_that_chose_thresholds else "on other people"
    failures = evaluation.acquisition
    return (
        f"Of pairs of **strangers** among these people, {strangers} is taken for one person "
        f"(95 %: {_often(rate.fmr.ci95)}); {rate.level:g} was asked for when the threshold was chosen, {on}: "
        f"**{rate.fmr.value / rate.level:.2g} times** what was promised. "
        f"Of pairs of photos of **one person**, {100 * rate.fnmr.value:.1f} % are told apart (95 %: "
        f"{100 * rate.fnmr.ci95[0]:.1f} to {100 * rate.fnmr.ci95[1]:.1f} %). In {failures.failures} of "
        f"{failures.pictures} photos no face could be used; such a photo is refused, never decided about. A finer "
        "threshold takes fewer strangers for one person and tells more pairs of one person apart: the table shows the "
        "choice."
    )


def undisclosed(training: Training) -> str:
    """What is not known of the people behind the weights; empty where all of them are known."""
    if not training.undisclosed:
        return ""
    return (
        f"**Whom {' and '.join(training.undisclosed)} learnt from is not published**: people measured here may be "
        "among them, and then the rates for other people are higher."
    )


def with_warning(levels: Sequence[Level]) -> str:
    """What the thresholds give for pictures that bear a warning; empty where too few were measured."""
    rows = [
        [
            f"`{point.measured_on}`",
            f"{level.fmr:g}",
            *("{:.3g} ({:.3g} to {:.3g})".format(*rate) for rate in _rates_of(point)),
            f"{point.impostor_pairs:,}, {point.genuine_pairs:,}",
            f"{point.people:,}",
        ]
        for level in levels
        for point in level.with_warning
    ]
    if not rows:
        return ""
    return "For pairs of which a picture at least bears a warning, at the same thresholds:\n\n" + table(
        [
            "warning",
            "level (FMR)",
            "FMR measured (95 %)",
            "FNMR (95 %)",
            "impostor, genuine pairs",
            "people who have one",
        ],
        sorted(rows, key=lambda row: row[0]),
    )


def _rates_of(point: OperatingPoint) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    return (point.measured_fmr or 0.0, *point.fmr_ci95), (point.fnmr, *point.fnmr_ci95)


def _often(interval: tuple[float, float]) -> str:
    low, high = (f"1 in {1 / end:,.0f}" if end else "none" for end in interval)
    return f"{low} to {high}"


def thresholds(evaluation: Evaluation, calibration: Calibration | None) -> str:
    """The bundle's thresholds on these people: promised and measured rates, with and without failures to acquire."""
    measured = {rate.level: rate for rate in evaluation.rates}
    rows = [_level(evaluation, level, measured.get(level.fmr)) for level in (calibration.levels if calibration else ())]
    head = [
        "level (FMR)",
        "threshold",
        "FMR here (95 %)",
        "promised (95 %)",
        "transfer (95 %)",
        "as promised",
        "FNMR here (95 %)",
    ]
    return table([*head, "errors: FMR; FNMR", "GFMR, GFNMR"], rows)


def _level(evaluation: Evaluation, level: Level, rate: RatesAtThreshold | None) -> list[str]:
    point = level.operating_point
    if rate is None or point is None:
        return [f"{level.fmr:g}", f"not supported: {level.reason}", *[""] * 7]
    fmr, fnmr = (
        evaluation.acquisition.generalised_fmr(rate.fmr.value, evaluation.impostor_pairs),
        evaluation.acquisition.generalised_fnmr(rate.fnmr.value, evaluation.genuine_pairs),
    )
    counts = [(rate.fmr.value, evaluation.impostor_pairs), (rate.fnmr.value, evaluation.genuine_pairs)]
    error_counts = "; ".join(errors(round(share * pairs), pairs) for share, pairs in counts)
    promised = f"{point.fmr_ci95[0]:.4g} to {point.fmr_ci95[1]:.4g}"
    verdict = "same people" if evaluation.people_that_chose_thresholds else _verdict(level.fmr, rate.fmr.ci95)
    general = f"{fmr:.4g}, {fnmr:.4g}"
    low, high = (end / level.fmr for end in rate.fmr.ci95)
    transfer = f"{rate.fmr.value / level.fmr:.2g} ({low:.2g} to {high:.2g})"
    rates = [with_interval(rate.fmr), promised, transfer, verdict, with_interval(rate.fnmr)]
    return [f"{level.fmr:g}", f"{rate.threshold:.6f}", *rates, error_counts, general]


def _verdict(asked: float, interval: tuple[float, float]) -> str:
    if asked < interval[0]:
        return "no: higher than asked for"
    return "lower than asked for" if asked > interval[1] else "yes"


def fnmr_at(evaluation: Evaluation) -> str:
    """FNMR where the threshold is chosen on these very people, at whole powers of ten."""
    whole = [figure for figure in evaluation.fnmr_at if f"{figure.fmr:e}".startswith("1.0000")]
    rows = [
        [f"{figure.fmr:g}", *cells(figure.fnmr), errors(figure.errors, evaluation.genuine_pairs)]
        for figure in reversed(whole)
    ]
    return table(["FMR", "FNMR", "95 % interval", "errors"], rows)


def errors(count: int, pairs: int) -> str:
    """The number of errors, marked where it is too small for a reliable rate."""
    if count == 0:
        return f"0 of {pairs}: the rate is at most {3 / pairs:.2g}, were they independent"
    return f"{count}, fewer than {FEW_ERRORS}: uncertain" if count < FEW_ERRORS else f"{count}"


def people(evaluation: Evaluation, calibration: Calibration | None) -> str:
    """The people with the most errors at the default threshold, by the names of their folders."""
    parts = [
        ("told apart from themselves", evaluation.told_apart_most),
        ("taken for others", evaluation.taken_for_others_most),
    ]
    value, interval = cells(evaluation.fnmr_by_person)
    default = calibration.default_fmr if calibration else None
    return (
        f"FNMR where each person counts once, not each pair: {value} ({interval}).{_few_pictures(evaluation, default)}"
        + "\n\n"
        + table(["most often", "person: errors of pairs"], [[name, _people(worst)] for name, worst in parts])
    )


def _few_pictures(evaluation: Evaluation, default: float | None) -> str:
    over_pairs = [rate.fnmr.value for rate in evaluation.rates if rate.level == default]
    if not over_pairs or evaluation.fnmr_by_person.value - over_pairs[0] < 1e-9:
        return ""
    return (
        f" It is higher than the rate over pairs, {over_pairs[0]:.4g}: those of few pictures are told apart more often "
        "than those of many, who make most pairs."
    )


def _people(worst: Sequence[PersonErrors]) -> str:
    return ", ".join(f"`{person.person}`: {person.errors} of {person.pairs}" for person in worst) or "nobody"


def groups(evaluation: Evaluation) -> str:
    """Rates of each group at one threshold, or the reason why there are none."""
    pairs = evaluation.group_pairs
    rows = [
        [
            rates.group,
            f"{rates.people}",
            _rate(rates.fmr, rates, pairs[rates.group][0]),
            _rate(rates.fnmr, rates, pairs[rates.group][1]),
        ]
        for rates in evaluation.groups
    ]
    return table(["group", "people", "FMR (95 %): errors", "FNMR (95 %): errors"], rows)


def _rate(rate: tuple[float, float, float] | None, group: GroupRates, pairs: int) -> str:
    if rate is None:
        return f"too few people to say: {group.reason}" if group.reason else "nobody has two pictures"
    return f"{rate[0]:.4g} ({rate[1]:.4g} to {rate[2]:.4g}): {errors(round(rate[0] * pairs), pairs)}"


def cells(estimate: Estimate) -> list[str]:
    return [f"{estimate.value:.4g}", f"{estimate.ci95[0]:.4g} to {estimate.ci95[1]:.4g}"]


def with_interval(estimate: Estimate) -> str:
    return "{} ({})".format(*cells(estimate))
