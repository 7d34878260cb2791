"""Writes the model card of a bundle, card.md, beside its manifest: from the manifest and the reports in its folder."""

import argparse
import json
from pathlib import Path

import terminal

from model import bundle
from model.card import card
from model.manifest import contract_id


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="+", help="shipped bundles' names, or folders")
    for name in parser.parse_args().bundles:
        folder = bundle.find(name)
        path = folder / "card.md"
        path.write_text(text(folder), encoding="utf-8")
        print(f"wrote {path}")


def text(folder: Path) -> str:
    """The card of the bundle in `folder`; a report of another bundle is left out."""
    manifest = bundle.load(folder).manifest
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("**/report.json"))]
    own = [report for report in found if report["contract_id"] == contract_id(manifest) and "rates" in report]
    return card(manifest, own)


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
