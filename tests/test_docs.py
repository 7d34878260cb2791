"""Documentation that fails the tests when it lies."""

import json
import pydoc
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import campaign
import msgspec
import pytest
import readme
import reproduce

from app.errors import ErrorKind
from app.schemas import OperatingPoint, Verification
from app.settings import PREFIX, Settings
from model import bundle
from model.decision import Policy
from model.faces.face import FaceWarning
from model.manifest import contract_id

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
}
README = PAGES["README.md"]
TUTORIAL = bundle.SHIPPED / "tutorial"
DEFAULT = bundle.SHIPPED / "default"
RESULTS = ROOT / "scripts/results"


def rows(page: str, heading: str) -> list[list[str]]:
    """The body of the first table after a heading, each row as its cells."""
    section = PAGES[page].split(f"# {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_settings_table_is_the_code() -> None:
    expected = [
        [PREFIX + name.upper(), "" if field.default is None else str(field.default), field.description]
        for name, field in Settings.model_fields.items()
    ]
    assert rows("docs/settings.md", "Settings") == expected


def test_the_error_table_is_the_code() -> None:
    kinds = sorted(ErrorKind, key=lambda kind: (kind.status, kind.code))
    assert rows("docs/api.md", "Errors") == [[str(kind.status), kind.code, kind.detail] for kind in kinds]


def test_the_routes_table_is_the_code() -> None:
    paths = json.loads((ROOT / "tests/openapi.json").read_text())["paths"]
    documented = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
    assert {row[0] for row in rows("docs/api.md", "Routes")} == documented | {"GET /", "GET /docs"}


def test_the_table_of_people_is_the_code() -> None:
    names = ("openapi.json", "openapi_gallery.json")
    without, with_gallery = (json.loads((ROOT / "tests" / name).read_text())["paths"] for name in names)
    added = {f"{method.upper()} {path}" for path in with_gallery.keys() - without for method in with_gallery[path]}
    assert {row[0] for row in rows("docs/gallery.md", "Routes")} == added


def test_the_figures_are_those_of_the_committed_results() -> None:
    outdated = [path.name for path in readme.outdated()]
    assert not outdated, f"figures are outdated in {', '.join(outdated)}: run `make readme`"


def test_every_block_stands_on_a_page_that_make_readme_writes() -> None:
    marked = {page: tuple(re.findall(r"^<!-- (.+): written by", text, flags=re.M)) for page, text in PAGES.items()}
    assert {page: names for page, names in marked.items() if names} == readme.PAGES
    assert {name for names in readme.PAGES.values() for name in names} == readme.blocks().keys()


def test_the_front_page_is_short() -> None:
    assert len(README.splitlines()) <= 150


def anchors(text: str) -> set[str]:
    """What GitHub calls the headings of a page."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", outside, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path, text: str) -> list[str]:
    """The relative links of a page that lead nowhere."""
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"\w+:|/", link)]
    found = []
    for link in links:
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    assert broken(ROOT / page, PAGES[page]) == []


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Other\n## Two `words`, here\n```sh\n# no heading\n```\n")
    good = "[a](other.md) [b](other.md#two-words-here) [c](https://x.test/no.md) [d](#top) ![e](other.md)\n# Top\n"
    bad = "[a](gone.md) [b](other.md#three) [c](other.md#no-heading) [d](#bottom)"
    (page := tmp_path / "page.md").write_text(good + bad)
    assert broken(page, good + bad) == ["gone.md", "other.md#three", "other.md#no-heading", "#bottom"]


def test_every_page_is_reached_from_the_front_page() -> None:
    for page in PAGES:
        assert page == "README.md" or f"]({page})" in README


def test_a_block_without_its_markers_is_missed() -> None:
    text = "before\n<!-- a: written by `make readme` -->\nold\n<!-- end of a -->\nafter\n"
    assert readme.filled(text, {"a": "new \\1"}).splitlines()[2] == "new \\1"
    for broken in (text.replace("end of", "end"), text + text):
        with pytest.raises(ValueError, match="one is needed"):
            readme.filled(broken, {"a": "new"})


def test_both_protocols_were_run_with_five_seeds() -> None:
    results = json.loads((TUTORIAL / "reproduction.json").read_text())
    assert {(row["protocol"], row["seed"]) for row in results} == {
        (protocol, seed) for protocol in reproduce.PROTOCOLS for seed in range(5)
    }
    assert reproduce.summary(results) in (TUTORIAL / "reproduction.md").read_text(encoding="utf-8")


def test_the_example_is_an_answer_of_the_shipped_bundle() -> None:
    example = re.search(r"```json\n(.*?)```", README, flags=re.S)
    assert example is not None
    answer = Verification.model_validate_json(example[1], strict=False)
    manifest = bundle.load(DEFAULT).manifest
    assert set(json.loads(example[1])) == set(Verification.model_fields) - {"comparisons"}
    assert answer.model.contract_id == contract_id(manifest)
    warnings = [warning for face in (answer.faces.image1, answer.faces.image2) for warning in face.warnings]
    decision = Policy(manifest).decide(answer.distance, warnings=warnings)
    assert answer.operating_point == OperatingPoint.model_validate(decision.operating_point)
    assert answer.same == (answer.distance <= answer.threshold)


def test_each_campaign_has_a_committed_run_without_a_fault_but_for_one_wait_under_attack() -> None:
    waits = {"starvation": ["case 5, floods: p99 more than ten times that alone"]}
    for name in campaign.CAMPAIGNS:
        path = RESULTS / "campaigns" / f"{name}.json"
        assert msgspec.json.decode(path.read_bytes(), type=campaign.State).faults == waits.get(name, [])


@pytest.mark.parametrize("folder", ["", "att-faces", "lfw-view1"])
def test_the_reports_are_of_the_bundle_that_is_shipped(folder: str) -> None:
    report = json.loads((DEFAULT / folder / "report.json").read_text())
    assert report["contract_id"] == contract_id(bundle.load(DEFAULT).manifest)


def test_the_tutorials_report_is_of_its_thresholds() -> None:
    report = json.loads((TUTORIAL / "report.json").read_text())
    manifest = bundle.load(TUTORIAL).manifest
    assert report["contract_id"] in (TUTORIAL / "report.md").read_text(encoding="utf-8")
    assert manifest.calibration is not None
    rate = report["rates"][0]
    point = manifest.calibration.levels[0].operating_point
    assert point is not None
    assert rate["threshold"] == point.threshold


@pytest.mark.parametrize("command", sorted({
    target for text in PAGES.values() for targets in re.findall(r"(?:^|`)make ((?:[a-z]+ ?)+)", text, flags=re.M)
    for target in targets.split()
}))  # fmt: skip
def test_every_make_target_of_the_pages_exists(command: str) -> None:
    assert re.search(rf"^{command}:", (ROOT / "Makefile").read_text(), flags=re.M)


def test_the_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    released = re.search(r"^## (\S+) \(\d{4}-\d\d-\d\d\)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.M)
    assert released is not None
    assert version("facepair") == project == released[1]


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
        "identification.png",
        "roc.png",
        "distances.png",
        "robustness.png",
        "page.png",
    }


def test_the_warnings_table_names_every_warning() -> None:
    rows_of_names = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ", PAGES["docs/api.md"], flags=re.M)
    documented = {name for cell in rows_of_names for name in re.findall(r"`(\w+)`", cell)}
    assert set(FaceWarning) <= documented


def test_every_file_and_name_that_is_cited_exists() -> None:
    texts = [path for folder in ("app", "model", "scripts") for path in (ROOT / folder).rglob("*.py")]
    for path in [*texts, *(ROOT / page for page in PAGES)]:
        text = path.read_text(encoding="utf-8")
        for cited in re.findall(r"`(?:python )?((?:\w+/)*\w+\.py)\b[^`]*`", text):
            # A bare name may lie in any room.
            assert any(place.match(cited) for place in texts), f"{path}: {cited}"
        for cited in {*re.findall(r"`((?:app|model)\.[\w.]+)`", text)} - {"model.contract_id"}:  # a field of answers
            assert pydoc.locate(cited) is not None, f"{path}: {cited}"
