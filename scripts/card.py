"""Writes a bundle's model card, card.md, from its manifest and the reports in its folder."""

import argparse
import json
from pathlib import Path
from typing import Any

import terminal

from model import bundle
from model.manifest import contract_id, read
from model.reports.model_card import card, is_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="+", help="shipped bundles' names, or folders")
    for name in parser.parse_args().bundles:
        folder = bundle.find(name)
        path = folder / "card.md"
        path.write_text(text(folder), encoding="utf-8")
        print(f"wrote {path}")


def text(folder: Path) -> str:
    """The card of the bundle in `folder`."""
    return card(read(folder), reports(folder), searches(folder))


def reports(folder: Path) -> list[dict[str, Any]]:
    """The reports on people in `folder`; those of another bundle or of other thresholds are printed and left out."""
    manifest = read(folder)
    reports = {path: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("**/report.json"))}
    measured = {path: report for path, report in reports.items() if "rates" in report}
    for path, report in measured.items():
        if not is_of(manifest, report):
            print(f"left out {path}: measured with another bundle or other thresholds")
    return [report for report in measured.values() if is_of(manifest, report)]


def searches(folder: Path) -> list[dict[str, Any]]:
    """The records of searches in `folder`, measured with this bundle."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("**/identification.json"))]
    return [record for record in records if record["contract_id"] == contract_id(read(folder))]


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
