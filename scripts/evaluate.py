"""Measures a bundle on a folder of identities and writes report.md, report.json and plots.

People whose pictures were in training are left out, whatever their folders are called.
"""

import argparse
from pathlib import Path

import terminal

from model import bundle, report
from model.data import load
from model.embedder import Embedder
from model.evaluation import evaluate, score_all_pairs


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True, help="a shipped bundle's name or a folder")
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder of pictures a person")
    parser.add_argument("--out", type=Path, help="folder of the report (default: runs/report-BUNDLE-DATA)")
    parser.add_argument("--append", type=Path, help="Markdown file to put at the end of the report")
    return parser.parse_args()


def main() -> None:
    options = parse()
    embedder = Embedder(bundle.load(bundle.find(options.bundle)))
    manifest = embedder.manifest
    dataset = load(options.data, embedder.faces, track=terminal.progress("picture"))
    terminal.show_skipped(dataset)
    unseen = dataset.without(manifest.training.data.people)
    scores = score_all_pairs(embedder, unseen)
    evaluation = evaluate(manifest, unseen, scores, left_out=len(dataset.people) - len(unseen.people))
    folder = options.out or Path("runs") / f"report-{manifest.name}-{dataset.name}"
    command = f"python scripts/evaluate.py --bundle {options.bundle} --data {dataset.name}"
    appendix = options.append.read_text(encoding="utf-8") if options.append else ""
    report.write(folder, manifest, evaluation, scores, command, appendix)
    print((folder / "report.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
