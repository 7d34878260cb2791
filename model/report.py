"""An evaluation as a report that people and programs can read; measures nothing itself."""

from dataclasses import asdict
from pathlib import Path

import msgspec

from model import metrics, plots
from model.comparison import Comparison
from model.evaluation import Estimate, Evaluation, RatesAtThreshold
from model.manifest import Calibration, Level, Manifest, contract_id
from model.metrics import Scores
from model.pair_lists import PairListFigures


def write(
    folder: Path, manifest: Manifest, evaluation: Evaluation, scores: Scores, command: str, appendix: str
) -> None:
    """Writes the five files into `folder`, replacing those of an earlier report; `appendix` ends the text."""
    folder.mkdir(parents=True, exist_ok=True)
    rates = metrics.curve(scores)
    plots.det(rates, evaluation).savefig(folder / "det.png")
    plots.roc(rates, evaluation).savefig(folder / "roc.png")
    plots.distances(scores, evaluation).savefig(folder / "distances.png")
    figures = {"command": command, **asdict(evaluation), "data": msgspec.to_builtins(evaluation.data)}
    (folder / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n")
    (folder / "report.md").write_text(
        "\n".join([markdown(manifest, evaluation, command), appendix]).rstrip() + "\n", encoding="utf-8"
    )


def markdown(manifest: Manifest, evaluation: Evaluation, command: str) -> str:
    """The report's text; the plots lie beside it."""
    return "\n\n".join(
        [
            f"# Bundle `{evaluation.bundle}` version {evaluation.version}, measured on `{evaluation.data.name}`",
            _people(evaluation, manifest.calibration),
            _figures(evaluation),
            "## At the bundle's thresholds",
            _rates(evaluation.rates, manifest.calibration),
            "![DET](det.png)\n![ROC](roc.png)\n![Distances of pairs](distances.png)",
            "FMR: share of pairs of strangers taken for one person. FNMR: share of pairs of one person taken for "
            "strangers. Intervals are 95 %: rates at thresholds have the wider of exact binomial and a bootstrap over "
            "people, the other figures the bootstrap. Failures to acquire: the pictures skipped above; they are in no "
            "rate.",
            f"Made by `{command}`. Contract `{evaluation.contract_id}`, data sha256 `{evaluation.data.sha256}`.\n",
        ]
    )


def write_list(folder: Path, manifest: Manifest, name: str, figures: PairListFigures, command: str) -> str:
    """Writes report.md and report.json into `folder`, replacing those of an earlier report; returns the text."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        ["accuracy", f"{figures.accuracy:.4f}", f"standard error {figures.standard_error:.4f}"],
        ["equal error rate", *_cells(figures.eer)],
        *([f"FNMR at FMR {fmr:g}", *_cells(estimate)] for fmr, estimate in figures.fnmr_at.items()),
    ]
    text = "\n\n".join(
        [
            f"# Bundle `{manifest.name}` version {manifest.version}, on the list `{name}`",
            f"{figures.genuine_pairs} genuine and {figures.impostor_pairs} impostor pairs of {figures.pictures} "
            f"pictures; in {figures.pictures_without_face} no face was found, and their pairs count as different.",
            _table(["measure", "value", "95 % interval (bootstrap over people)"], rows),
            f"Made by `{command}`. Contract `{contract_id(manifest)}`.\n",
        ]
    )
    (folder / "report.md").write_text(text, encoding="utf-8")
    record = {"command": command, "contract_id": contract_id(manifest), **asdict(figures)}
    (folder / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    return text


def comparison(found: Comparison) -> str:
    """Two bundles side by side, as a part of a report."""
    rows = [[name, *("{} ({})".format(*_cells(each)) for each in three)] for name, three in found.figures.items()]
    first, second = found.bundles
    return "\n\n".join(
        [
            f"## Against the bundle `{second}`, on the same pairs",
            f"{found.genuine_pairs} genuine and {found.impostor_pairs} impostor pairs of pictures that both can use.",
            _table(["measure", f"`{first}`", f"`{second}`", "difference"], rows),
        ]
    )


def _people(evaluation: Evaluation, calibration: Calibration | None) -> str:
    people = len(evaluation.data.people)
    text = (
        f"{people} people, {evaluation.data.pictures} pictures ({evaluation.skipped_pictures} skipped): "
        f"{evaluation.genuine_pairs} genuine and {evaluation.impostor_pairs} impostor pairs, all that there are. "
        f"{evaluation.seen_people_left_out} people of the folder were in training or chose thresholds and are left out."
    )
    if calibration is None:
        return text + " The bundle is not calibrated: it has no thresholds."
    chose = evaluation.people_that_chose_thresholds
    if chose:
        text += (
            f" **{chose} of the {people} people also chose the thresholds**: at these, the rates below say how well "
            "the thresholds fit, and only the intervals say what to expect of other people."
        )
    return text


def _figures(evaluation: Evaluation) -> str:
    always_different = evaluation.impostor_pairs / (evaluation.impostor_pairs + evaluation.genuine_pairs)
    return _table(
        ["measure", "value", "95 % interval"],
        [
            ["ROC AUC", *_cells(evaluation.auc)],
            ["equal error rate", *_cells(evaluation.eer)],
            [
                f"best accuracy, at distance {evaluation.best_accuracy_threshold:.4f} "
                f'(always saying "different" gives {always_different:.4f})',
                *_cells(evaluation.best_accuracy),
            ],
        ],
    )


def _rates(rates: tuple[RatesAtThreshold, ...], calibration: Calibration | None) -> str:
    measured = {rate.level: rate for rate in rates}
    levels = calibration.levels if calibration else ()
    return _table(
        ["level (FMR)", "threshold", "FMR here", "95 % interval", "FNMR here", "95 % interval"],
        [_level(level, measured.get(level.fmr)) for level in levels],
    )


def _level(level: Level, rate: RatesAtThreshold | None) -> list[str]:
    if rate is None:
        return [f"{level.fmr:g}", f"not supported: {level.reason}", "", "", "", ""]
    return [f"{level.fmr:g}", f"{rate.threshold:.6f}", *_cells(rate.fmr), *_cells(rate.fnmr)]


def _cells(estimate: Estimate) -> list[str]:
    return [f"{estimate.value:.4g}", f"{estimate.ci95[0]:.4g} to {estimate.ci95[1]:.4g}"]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
