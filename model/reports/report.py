"""Writes an evaluation as a report for people and programs. It measures nothing."""

from dataclasses import asdict
from pathlib import Path

import msgspec

from model.error_rates.scores import Scores, curve
from model.evaluation.acquisition import Acquisition
from model.evaluation.comparison import Comparison
from model.evaluation.evaluation import Evaluation
from model.manifest import Calibration, Manifest
from model.reports import plots, sections
from model.reports.markdown import table
from model.reports.readable_json import write_json

_TERMS = """\
ISO/IEC 19795-1. FMR, false match rate: share of pairs of strangers taken for one person. FNMR, false non-match rate:
share of pairs of one person told apart. GFMR, GFNMR: the same over all pairs, where a picture without a usable face
matches nobody. Intervals are 95 %: rates at thresholds have the wider of exact binomial and a bootstrap over people,
the other figures the bootstrap; bands in the plots are pointwise. People, not pairs, are resampled, since pairs that
share a person are not independent. Where all people are alike, a bootstrap has no width: the interval then reaches
3 / people to either side (the rule of three). Transfer: the FMR here over the level: 1 is as promised. "As promised":
whether the interval here holds the level asked for. "Promised": the interval for as many other people as chose the
threshold."""


def write(
    folder: Path, manifest: Manifest, evaluation: Evaluation, scores: Scores, command: str, appendix: str
) -> None:
    """Writes the five files into `folder`, replacing those of an earlier report; `appendix` ends the text."""
    folder.mkdir(parents=True, exist_ok=True)
    rates = curve(scores)
    plots.det(rates, evaluation).savefig(folder / "det.png")
    plots.roc(rates, evaluation).savefig(folder / "roc.png")
    plots.distances(scores, evaluation).savefig(folder / "distances.png")
    figures = {"command": command, **asdict(evaluation), "data": msgspec.to_builtins(evaluation.data)}
    write_json(folder / "report.json", figures)
    (folder / "report.md").write_text(
        "\n".join([markdown(manifest, evaluation, command), appendix]).rstrip() + "\n", encoding="utf-8"
    )


def markdown(manifest: Manifest, evaluation: Evaluation, command: str) -> str:
    """The report's text; the plots lie beside it."""
    by_group = ["## Group by group", sections.groups(evaluation)] if evaluation.groups else []
    return "\n\n".join(
        [
            f"# Bundle `{evaluation.bundle}` version {evaluation.version}, measured on `{evaluation.data.name}`",
            sections.in_plain_words(evaluation, manifest.calibration),
            "## The data",
            " ".join(
                filter(None, [_people(evaluation, manifest.calibration), sections.undisclosed(manifest.training)])
            ),
            "## At the bundle's thresholds",
            sections.thresholds(evaluation, manifest.calibration),
            "## Whatever the threshold",
            _figures(evaluation),
            sections.fnmr_at(evaluation),
            "![DET](det.png)\n![ROC](roc.png)\n![Distances of pairs](distances.png)",
            "## Person by person, at the default threshold",
            sections.people(evaluation, manifest.calibration),
            *by_group,
            "## Terms",
            _TERMS,
            f"Made by `{command}`. Contract `{evaluation.contract_id}`, data sha256 `{evaluation.data.sha256}`.\n",
        ]
    )


def comparison(compared: Comparison) -> str:
    """Two bundles side by side, as a part of a report."""
    rows = [
        [name, *("{} ({})".format(*sections.cells(estimate)) for estimate in three)]
        for name, three in compared.figures.items()
    ]
    first, second = compared.bundles
    return "\n\n".join(
        [
            f"## Against the bundle `{second}`, on the same pairs",
            f"{compared.genuine_pairs} genuine and {compared.impostor_pairs} impostor pairs of pictures that both can "
            "use.",
            table(["measure", f"`{first}`", f"`{second}`", "difference"], rows),
        ]
    )


def _people(evaluation: Evaluation, calibration: Calibration | None) -> str:
    people = len(evaluation.data.people)
    text = (
        f"{people} people, {evaluation.data.pictures} pictures ({evaluation.skipped_pictures} skipped): "
        f"{evaluation.genuine_pairs} genuine and {evaluation.impostor_pairs} impostor pairs, all that there are. "
        f"{_apart(evaluation.acquisition)}"
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


def _apart(acquired: Acquisition) -> str:
    lost, others = acquired.lost_people, acquired.other_files
    text = f"Of {lost} more people no picture at all could be used: theirs are among the skipped. " if lost else ""
    return text + (f"{others} other files are no pictures, and count nowhere. " if others else "")


def _figures(evaluation: Evaluation) -> str:
    always_different = evaluation.impostor_pairs / (evaluation.impostor_pairs + evaluation.genuine_pairs)
    return table(
        ["measure", "value", "95 % interval"],
        [
            ["ROC AUC", *sections.cells(evaluation.auc)],
            ["equal error rate", *sections.cells(evaluation.eer)],
            [
                f"best accuracy, at distance {evaluation.best_accuracy_threshold:.4f} "
                f'(always saying "different" gives {always_different:.4f})',
                *sections.cells(evaluation.best_accuracy),
            ],
        ],
    )
