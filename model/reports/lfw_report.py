"""Writes the figures of a list of pairs as a report for people and programs. It measures nothing."""

from dataclasses import asdict
from pathlib import Path

import msgspec

from model.evaluation.lfw_protocol import PairListFigures
from model.manifest import Manifest, contract_id
from model.reports import sections
from model.reports.markdown import table
from model.reports.readable_json import write_json


def write(folder: Path, manifest: Manifest, name: str, figures: PairListFigures, command: str) -> str:
    """Writes report.md and report.json into `folder`, replacing those of an earlier report; returns the text."""
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(manifest, name, figures, command)
    (folder / "report.md").write_text(text, encoding="utf-8")
    data = msgspec.to_builtins(figures.data)
    record = {"command": command, "contract_id": contract_id(manifest), **asdict(figures), "data": data}
    write_json(folder / "report.json", record)
    return text


def markdown(manifest: Manifest, name: str, figures: PairListFigures, command: str) -> str:
    """The report's text."""
    head = ["measure", "value", "95 % interval (bootstrap over people)", "errors"]
    return "\n\n".join(
        [
            f"# Bundle `{manifest.name}` version {manifest.version}, on the list `{name}`",
            f"{figures.genuine_pairs} genuine and {figures.impostor_pairs} impostor pairs of {figures.pictures} "
            f"pictures; in {figures.pictures_without_face} no face could be used, and their pairs count as different.",
            " ".join(filter(None, [_people(figures), sections.undisclosed(manifest.training)])),
            table(head, _rows(figures)),
            f"Made by `{command}`. Contract `{contract_id(manifest)}`, data sha256 `{figures.data.sha256}`.\n",
        ]
    )


def _people(figures: PairListFigures) -> str:
    trained, chose = figures.people_in_training, figures.people_that_chose_thresholds
    text = f"{figures.people} people: {trained} of them were in training, {chose} chose the bundle's thresholds."
    if trained:
        text += " **A list is measured as it is, so those are not left out**: of people never seen, expect worse."
    return text


def _rows(figures: PairListFigures) -> list[list[str]]:
    genuine, pairs = figures.genuine_pairs, figures.genuine_pairs + figures.impostor_pairs
    wrong = round((1 - figures.accuracy) * pairs)
    spread = f"standard error {figures.standard_error:.4f}"
    rates = {"equal error rate": figures.eer, **{f"FNMR at FMR {fmr:g}": rate for fmr, rate in figures.fnmr_at.items()}}
    return [
        ["accuracy", f"{figures.accuracy:.4f}", spread, sections.errors(wrong, pairs)],
        *(
            [name, *sections.cells(rate), sections.errors(round(rate.value * genuine), genuine)]
            for name, rate in rates.items()
        ),
    ]
