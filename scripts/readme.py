"""Writes the figures of README and docs from the committed results, each between its markers. It measures nothing."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import campaign
import msgspec
import reproduce
import terminal
from benchmarks import peers_report, people_report, report
from benchmarks.people_report import PeopleResults
from benchmarks.results import Results
from campaigns import expensive_pictures
from campaigns.starvation import COLUMNS

from model.bundle import SHIPPED
from model.manifest import Calibration, Manifest, read
from model.reports import identification, transfer
from model.reports.markdown import table

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "scripts/results"
DATA_SETS = {"celeba": "CelebA", "att_faces": "AT&T faces", "images": "LFW's View 1 photos"}
PAGES = {
    "README.md": ("default bundle", "peers"),
    "docs/accuracy.md": ("default bundle", "transfer", "identification", "protocols", "tutorial bundle"),
    "docs/gallery.md": ("people",),
    "docs/operations.md": ("benchmark", "campaigns", "starvation", "costs"),
    "docs/training.md": ("digits",),
}
"""The blocks of each page."""
_OWN_TABLES = ("costs", "starvation")
_BLOCK = "<!-- {name}: written by `make readme` -->\n{text}\n<!-- end of {name} -->"


def blocks() -> dict[str, str]:
    """The text of each block by its name."""
    return {
        "benchmark": benchmark(),
        "peers": peers(),
        "people": people(),
        "campaigns": campaigns(),
        "starvation": starvation(),
        "costs": costs(),
        "default bundle": default_bundle(SHIPPED / "default"),
        "transfer": promises(SHIPPED / "default"),
        "identification": searches(SHIPPED / "default"),
        "protocols": protocols(),
        "digits": digits(),
        "tutorial bundle": tutorial_bundle(SHIPPED / "tutorial"),
    }


def outdated() -> dict[Path, str]:
    """The pages that differ from the results, each with its new text."""
    texts = blocks()
    pages = {ROOT / page: {name: texts[name] for name in names} for page, names in PAGES.items()}
    new = {path: filled(path.read_text(encoding="utf-8"), own) for path, own in pages.items()}
    return {path: text for path, text in new.items() if text != path.read_text(encoding="utf-8")}


def filled(text: str, blocks: Mapping[str, str]) -> str:
    """The text with these blocks in place of what its markers enclose. Raises ValueError where a marker is missing."""
    for name, content in blocks.items():
        new = _BLOCK.format(name=name, text=content)
        pattern = re.escape(_BLOCK.format(name=name, text="...")).replace(r"\.\.\.", ".*?")
        text, count = re.subn(pattern, lambda _, new=new: new, text, flags=re.S)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"the text has {count} blocks '{name}' between markers; one is needed")
    return text


def benchmark() -> str:
    results = msgspec.json.decode((RESULTS / "benchmark.json").read_bytes(), type=Results)
    machine = results.machine
    return (
        f"`make benchmark` on {machine.processor}, {machine.cores} cores, which the client shares\n"
        f"([stages, and each number of callers](../scripts/results/benchmark.md)):\n\n{report.summary(results)}"
    )


def people() -> str:
    results = msgspec.json.decode((RESULTS / "people.json").read_bytes(), type=PeopleResults)
    machine, load = results.machine, results.load
    busy = (
        f"Other work shared the machine (load {load})" if load >= machine.cores else "The callers keep all cores busy"
    )
    return (
        f"`benchmark.py people` on {machine.processor}, {machine.cores} cores, which the client shares, with "
        f"{results.callers}\ncallers; medians, with the range of the rounds.\n"
        f"{busy}: times by the clock hold the wait for a core, processor times do not.\n\n"
        + people_report.summary(results)
    )


def peers() -> str:
    results = peers_report.read(RESULTS)
    machine, side, rounds = results.machine, results.side, len(results.peers[0].rounds)
    return (
        f"`make benchmark` on {machine.processor}, {machine.cores} cores, which the client shares. Pairs of JPEGs of "
        f"{side} x {side} pixels\ngo to every service in turn. Medians (ranges) of {rounds} rounds:\n\n"
        f"{peers_report.summary(results)}"
    )


def campaigns() -> str:
    states = [_state(name) for name in campaign.CAMPAIGNS if name not in _OWN_TABLES]
    return table(["campaign", "cases", "faults", "most frequent outcomes"], map(campaign.row, states))


def searches(folder: Path) -> str:
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("**/identification.json"))]
    return "At the threshold for FPIR 1 %, with 95 % intervals:\n\n" + identification.summary(records, DATA_SETS)


def starvation() -> str:
    state = _state("starvation")
    rows = [name.split("; ") for name in state.counts]
    missed = "; ".join(state.faults) or "none"
    return f"{table(COLUMNS, rows)}\n\nTargets missed (cases are counted from 0): {missed}."


def costs() -> str:
    return table(expensive_pictures.COLUMNS, expensive_pictures.records(_state("costs").counts))


def _state(name: str) -> campaign.State:
    return msgspec.json.decode((RESULTS / "campaigns" / f"{name}.json").read_bytes(), type=campaign.State)


def protocols() -> str:
    return reproduce.summary(json.loads((SHIPPED / "tutorial" / "reproduction.json").read_text())).rstrip()


def digits() -> str:
    """The table of the committed report."""
    text = (RESULTS / "digits/report.md").read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if line.startswith("|"))


def default_bundle(folder: Path) -> str:
    """What the reports in a bundle's folder say: of all pairs of people, and of lists of pairs."""
    manifest, reports = read(folder), _reports(folder)
    calibration, level = _calibration(manifest), _calibration(manifest).default_fmr
    rows = [_unseen(measured, level) for measured in reports if "rates" in measured]
    head = ["people", "pairs: genuine, impostor", "equal error rate", "FMR", "FNMR", "FNMR by person"]
    trained, chose = len(manifest.training.data.people), len(calibration.data.people)
    learnt = f"It was trained on {trained:,} people of {_name(manifest.training.data.name)}. " if trained else ""
    others = "in neither" if trained else "not among them"
    return "\n\n".join(
        [
            f"{learnt}Thresholds were chosen on {chose:,} people of {_name(calibration.data.name)}.\n"
            f"At its threshold for FMR {level:g}, on people who were {others}, with 95 % intervals:",
            table(head, rows),
            *(_lfw(measured) for measured in reports if "fnmr_at" in measured and "rates" not in measured),
        ]
    )


def promises(folder: Path) -> str:
    """How the thresholds of a bundle hold on the people of each report."""
    return transfer.markdown(
        transfer.transfers([report for report in _reports(folder) if "rates" in report], DATA_SETS)
    )


def tutorial_bundle(folder: Path) -> str:
    manifest = read(folder)
    calibration = _calibration(manifest)
    point = calibration.operating_points[calibration.default_fmr]
    low, high = (f"{100 * end:.0f}" for end in point.fnmr_ci95)
    return (
        f"The bundle itself is trained on {len(manifest.training.data.people)} people; its operating points are "
        f"measured on {len(calibration.data.people)} others.\nAt FMR {100 * point.fmr:g} % it has FNMR "
        f"{100 * point.fnmr:.0f} % (95 %: {low} to {high} %), on {point.genuine_pairs:,} genuine and "
        f"{point.impostor_pairs:,} impostor pairs."
    )


def _unseen(report: Mapping[str, Any], level: float) -> list[str]:
    rate = next(rate for rate in report["rates"] if rate["level"] == level)
    return [
        f"{_name(report['data']['name'])}: {len(report['data']['people']):,}",
        f"{report['genuine_pairs']:,}, {report['impostor_pairs']:,}",
        *(percent(figure) for figure in (report["eer"], rate["fmr"], rate["fnmr"], report["fnmr_by_person"])),
    ]


def _lfw(report: Mapping[str, Any]) -> str:
    fmr, fnmr = list(report["fnmr_at"].items())[-1]
    return (
        f"On the test list of LFW's View 1 ({report['genuine_pairs']} genuine and {report['impostor_pairs']} impostor "
        f"pairs): accuracy {report['accuracy']:.4f} (standard error\n{report['standard_error']:.4f}), equal error rate "
        f"{percent(report['eer'])}, FNMR {percent(fnmr)} at FMR {float(fmr):g}."
    )


def _reports(folder: Path) -> list[dict[str, Any]]:
    paths = [*sorted(folder.glob("*/report.json")), folder / "report.json"]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _calibration(manifest: Manifest) -> Calibration:
    if manifest.calibration is None:
        raise ValueError(f"bundle '{manifest.name}' was never calibrated")
    return manifest.calibration


def _name(data: str) -> str:
    return DATA_SETS.get(data, f"`{data}`")


def percent(estimate: Mapping[str, Any]) -> str:
    value, low, high = (f"{100 * number:.2f}" for number in (estimate["value"], *estimate["ci95"]))
    return f"{value} % ({low} to {high})"


def main() -> None:
    pages = outdated()
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    if not pages:
        print("the figures of README and docs are those of the committed results")


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
