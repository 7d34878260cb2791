"""Draws the curves of an evaluation. It measures nothing, saves nothing and shows no picture of anybody."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from model.error_rates.scores import Curve, Floats, Scores
from model.evaluation.evaluation import Evaluation, RatesAtThreshold

_FMR_TICKS = [1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.05, 0.2, 0.4, 0.6]
_FNMR_TICKS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8]


def axes_of(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6, 4.5), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(visible=True, alpha=0.3)
    return figure, axes


def det(rates: Curve, evaluation: Evaluation) -> Figure:
    figure, axes = axes_of(f"DET: {_subject(evaluation)}", "FMR", "FNMR")
    inside = (rates.fmr > 0) & (rates.fnmr > 0)
    axes.plot(stats.norm.ppf(rates.fmr[inside]), stats.norm.ppf(rates.fnmr[inside]))
    _band(axes, evaluation, lambda rate: np.asarray(stats.norm.ppf(np.clip(rate, 1e-9, 1 - 1e-9))))
    axes.axline((0, 0), slope=1, color="grey", linewidth=0.8, linestyle=":", label=f"EER {evaluation.eer.value:.3f}")
    finest = min((rate.fmr.value for rate in evaluation.rates if rate.fmr.value), default=0.01)
    fmr_ticks = [tick for tick in _FMR_TICKS if tick >= finest / 10]
    across, up = np.asarray(stats.norm.ppf(fmr_ticks)), np.asarray(stats.norm.ppf(_FNMR_TICKS))
    axes.set_xticks(across, [f"{tick:g}" for tick in fmr_ticks])
    axes.set_yticks(up, [f"{tick:g}" for tick in _FNMR_TICKS])
    axes.set(xlim=(across[0], across[-1]), ylim=(up[0], up[-1]))
    _mark(axes, [(stats.norm.ppf(r.fmr.value), stats.norm.ppf(r.fnmr.value), r) for r in evaluation.rates])
    return figure


def _band(axes: Axes, evaluation: Evaluation, scale: Callable[[Floats], Floats]) -> None:
    fmr = scale(np.array([figure.fmr for figure in evaluation.fnmr_at]))
    low, high = map(scale, _ends(evaluation))
    axes.fill_between(fmr, low, high, alpha=0.2, label="95 %, pointwise")


def _ends(evaluation: Evaluation) -> tuple[Floats, Floats]:
    """Lower and upper ends of the FNMRs' intervals. An upper bound at a finer FMR also holds at a coarser one."""
    low, high = np.array([figure.fnmr.ci95 for figure in evaluation.fnmr_at]).T
    return low, np.minimum.accumulate(high)


def roc(rates: Curve, evaluation: Evaluation) -> Figure:
    figure, axes = axes_of(f"ROC: {_subject(evaluation)}", "FMR", "1 - FNMR")
    axes.step(rates.fmr, 1 - rates.fnmr, where="post", label=f"AUC {evaluation.auc.value:.4f}")
    low, high = _ends(evaluation)
    axes.fill_between(
        [figure.fmr for figure in evaluation.fnmr_at], 1 - high, 1 - low, alpha=0.2, label="95 %, pointwise"
    )
    axes.set_xscale("log")
    axes.set(xlim=(1 / evaluation.impostor_pairs, 1), ylim=(0, 1.02))
    _mark(axes, [(r.fmr.value, 1 - r.fnmr.value, r) for r in evaluation.rates])
    return figure


def _mark(axes: Axes, points: list[tuple[float, float, RatesAtThreshold]]) -> None:
    for x, y, rate in points:
        axes.plot(x, y, "o", label=f"threshold for FMR {rate.level:g}")
    axes.legend()


def distances(scores: Scores, evaluation: Evaluation) -> Figure:
    figure, axes = axes_of(f"Distances: {_subject(evaluation)}", "distance", "share of pairs")
    figure.set_figheight(5.2)
    bins = np.linspace(0, scores.distance.max(), 60).tolist()
    groups = [("strangers", scores.impostor_distances), ("same person", scores.genuine_distances)]
    for name, values in groups:
        label = f"{name}: {len(values)} pairs"
        axes.hist(values, bins, weights=np.full(len(values), 1 / len(values)), alpha=0.55, label=label)
    for number, rate in enumerate(evaluation.rates):
        label = f"threshold for FMR {rate.level:g}"
        axes.axvline(rate.threshold, color=f"C{number + 2}", linestyle="--", label=label)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _subject(evaluation: Evaluation) -> str:
    return f"{evaluation.bundle} on {len(evaluation.data.people)} people of {evaluation.data.name}"
