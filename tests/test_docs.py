"""Documentation that fails the tests when it lies."""

import json
import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import campaign
import msgspec
import pytest
import reproduce
from benchmarks import report
from benchmarks.results import Results

from app.errors import ErrorKind
from app.schemas import OperatingPoint, Verification
from app.settings import PREFIX, Settings
from model import bundle
from model.decision import Policy
from model.faces.face import FaceWarning
from model.manifest import contract_id

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TUTORIAL = bundle.SHIPPED / "tutorial"
DEFAULT = bundle.SHIPPED / "default"
RESULTS = ROOT / "scripts/results"


def rows(heading: str) -> list[list[str]]:
    """The body of the first table after a heading, each row as its cells."""
    section = README.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_settings_table_is_the_code() -> None:
    expected = [
        [PREFIX + name.upper(), "" if field.default is None else str(field.default), field.description]
        for name, field in Settings.model_fields.items()
    ]
    assert rows("Settings") == expected


def test_the_error_table_is_the_code() -> None:
    kinds = sorted(ErrorKind, key=lambda kind: (kind.status, kind.code))
    assert rows("Errors") == [[str(kind.status), kind.code, kind.detail] for kind in kinds]


def test_the_routes_table_is_the_code() -> None:
    paths = json.loads((ROOT / "tests/openapi.json").read_text())["paths"]
    documented = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
    assert {row[0] for row in rows("Routes")} == documented | {"GET /", "GET /docs"}


def test_the_figures_are_those_of_the_committed_results() -> None:
    results = json.loads((TUTORIAL / "reproduction.json").read_text())
    assert {(row["protocol"], row["seed"]) for row in results} == {
        (protocol, seed) for protocol in reproduce.PROTOCOLS for seed in range(5)
    }
    table = reproduce.table(results)
    assert table in README
    assert table in (TUTORIAL / "reproduction.md").read_text(encoding="utf-8")


def test_the_example_is_an_answer_of_the_shipped_bundle() -> None:
    example = re.search(r"```json\n(.*?)```", README, flags=re.S)
    assert example is not None
    answer = Verification.model_validate_json(example[1], strict=False)
    manifest = bundle.load(DEFAULT).manifest
    assert set(json.loads(example[1])) == set(Verification.model_fields)
    assert answer.model.contract_id == contract_id(manifest)
    assert answer.operating_point == OperatingPoint.model_validate(Policy(manifest).operating_point())
    assert answer.same == (answer.distance <= answer.threshold)


def percent(estimate: dict[str, Any]) -> str:
    value, low, high = (f"{100 * number:.2f}" for number in (estimate["value"], *estimate["ci95"]))
    return f"{value} % ({low} to {high})"


def default_table() -> str:
    lines = [
        "| people never seen | pairs: genuine, impostor | equal error rate | FMR, FNMR at the bundle's threshold |",
        "|---|---|---|---|",
    ]
    for name, folder in (("CelebA", DEFAULT), ("AT&T faces", DEFAULT / "att-faces")):
        report = json.loads((folder / "report.json").read_text())
        people = f"{name}: {len(report['data']['people'])}"
        pairs = f"{report['genuine_pairs']:,}, {report['impostor_pairs']:,}"
        rate = next(rate for rate in report["rates"] if rate["level"] == 0.001)
        rates = f"{percent(rate['fmr'])}, {percent(rate['fnmr'])}"
        lines.append(f"| {people} | {pairs} | {percent(report['eer'])} | {rates} |")
    return "\n".join(lines)


def lfw_sentence() -> str:
    report = json.loads((DEFAULT / "lfw-view1" / "report.json").read_text())
    return (
        f"On the test list of LFW's View 1 ({report['genuine_pairs']} genuine and {report['impostor_pairs']} impostor\n"
        f"pairs): accuracy {report['accuracy']:.4f} (standard error {report['standard_error']:.4f}), equal error rate "
        f"{percent(report['eer'])},\nFNMR {percent(report['fnmr_at']['0.01'])} at FMR 0.01."
    )


def test_the_figures_of_the_default_bundle_are_those_of_its_reports() -> None:
    assert default_table() in README
    by_person = json.loads((DEFAULT / "report.json").read_text())["fnmr_by_person"]
    assert f"where each person counts once, its FNMR is\n{percent(by_person)}" in README
    assert lfw_sentence() in README


def test_the_figures_under_load_are_those_of_the_committed_run() -> None:
    results = msgspec.json.decode((RESULTS / "benchmark.json").read_bytes(), type=Results)
    assert report.table(results) in README
    assert results.machine.processor in README


def test_the_figures_of_the_campaigns_are_those_of_the_committed_runs() -> None:
    states = [
        msgspec.json.decode((RESULTS / "campaigns" / f"{name}.json").read_bytes(), type=campaign.State)
        for name in campaign.CAMPAIGNS
    ]
    assert "\n".join(campaign.row(state) for state in states) in README
    assert not any(state.faults for state in states)


@pytest.mark.parametrize("folder", ["", "att-faces", "lfw-view1"])
def test_the_reports_are_of_the_bundle_that_is_shipped(folder: str) -> None:
    report = json.loads((DEFAULT / folder / "report.json").read_text())
    assert report["contract_id"] == contract_id(bundle.load(DEFAULT).manifest)


def test_the_bundles_figures_are_those_of_its_report() -> None:
    report = json.loads((TUTORIAL / "report.json").read_text())
    manifest = bundle.load(TUTORIAL).manifest
    assert report["contract_id"] in (TUTORIAL / "report.md").read_text(encoding="utf-8")
    assert manifest.calibration is not None
    rate = report["rates"][0]
    point = manifest.calibration.levels[0].operating_point
    assert point is not None
    assert rate["threshold"] == point.threshold
    low, high = (f"{100 * end:.0f}" for end in point.fnmr_ci95)
    assert f"FNMR {100 * point.fnmr:.0f} % ({low} to {high} %)" in README


@pytest.mark.parametrize("command", re.findall(r"^make (\w+)", README, flags=re.M))
def test_every_make_target_of_the_readme_exists(command: str) -> None:
    assert re.search(rf"^{command}:", (ROOT / "Makefile").read_text(), flags=re.M)


def test_the_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.M)
    assert newest is not None
    assert version("facepair") == project == newest[1]


def test_every_dependency_is_pinned() -> None:
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [name for group in project["optional-dependencies"].values() for name in group]
    wanted = {re.split(r"[^\w-]", name)[0].lower() for name in [*project["dependencies"], *extras]} - {"facepair"}
    assert wanted <= pinned


def test_no_picture_is_in_the_repository_but_the_plots() -> None:
    kinds = {".jpg", ".jpeg", ".png", ".webp", ".pgm", ".ppm"}
    places = [path for folder in ("app", "model", "scripts", "tests") for path in (ROOT / folder).rglob("*")]
    assert {path.name for path in places if path.suffix in kinds} <= {
        "det.png",
        "roc.png",
        "distances.png",
        "robustness.png",
        "page.png",
    }


def test_the_warnings_table_names_every_warning() -> None:
    documented = {name for cells in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ", README, flags=re.M) for name in
                  re.findall(r"`(\w+)`", cells)}  # fmt: skip
    assert set(FaceWarning) <= documented
