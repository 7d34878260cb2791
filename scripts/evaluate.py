"""Measures a bundle on a folder of people, or on a list of pairs, and writes report.md, report.json and plots.

With --identify it measures searches in galleries of these people and writes identification.md, .json and .png.

In a folder, people whose pictures were in training are left out, whatever their folders are called. So are those who
chose the thresholds, where enough others remain. A list is measured as it is, and the report says how many of its
people were in training or chose thresholds.
"""

import argparse
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import terminal

from model import bundle
from model.data import lfw_lists
from model.data.dataset import Dataset, load
from model.data.people import PeopleFolder
from model.embedding.embedder import Embedder
from model.evaluation import lfw_protocol
from model.evaluation.breakdown import groups_in
from model.evaluation.comparison import compare
from model.evaluation.evaluation import evaluate
from model.evaluation.open_set import open_set
from model.evaluation.scoring import score_all_pairs, unseen_by
from model.reports import identification, lfw_report, report


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True, help="a shipped bundle's name or a folder")
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder of pictures a person")
    parser.add_argument("--out", type=Path, help="folder of the report (default: runs/report-BUNDLE-DATA)")
    parser.add_argument("--append", type=Path, help="Markdown file to append to the report")
    parser.add_argument("--against", action="append", default=[], help="another bundle, for the same pairs; repeatable")
    parser.add_argument("--groups", type=Path, help="CSV file of rows person,group, for rates of each group")
    parser.add_argument("--pairs", type=Path, help="measure the pairs of this list (LFW's format) instead of all pairs")
    parser.add_argument("--choose-on", type=Path, help="a list to choose the threshold of --pairs on")
    parser.add_argument("--identify", action="store_true", help="measure searches in galleries instead of all pairs")
    options = parser.parse_args(arguments)
    other = ("pairs" if options.pairs else "") or ("identify" if options.identify else "")
    refused = [name for name in ("against", "groups", "append") if other and getattr(options, name)]
    if options.pairs and options.identify:
        refused = ["identify"]
    if refused:
        parser.error(f"--{other} measures something else than all pairs, without --{refused[0]}")
    if options.choose_on and not options.pairs:
        parser.error("--choose-on chooses the threshold of --pairs, which is not given")
    return options


def main() -> None:
    options = parse()
    appendix = options.append.read_text(encoding="utf-8") if options.append else ""
    terminal.require_writable(options.out or Path("runs"))
    embedder = Embedder(bundle.load(bundle.find(options.bundle)))
    if options.identify:
        print(_measure_searches(embedder, options))
    else:
        print(_measure_list(embedder, options) if options.pairs else _measure_all_pairs(embedder, options, appendix))


def _measure_all_pairs(embedder: Embedder, options: argparse.Namespace, appendix: str) -> str:
    others = [Embedder(bundle.load(bundle.find(name))) for name in options.against]
    manifests = [used.manifest for used in (embedder, *others)]
    folder = PeopleFolder(options.data)
    groups = _groups(options.groups, folder.files) if options.groups else None
    names = unseen_by(manifests, folder)
    terminal.show_shared(manifests, folder, names)
    unseen = _load(folder, embedder, only=names)
    scores = score_all_pairs(embedder, unseen)
    evaluation = evaluate(embedder.manifest, unseen, scores, left_out=len(folder.files) - len(names), groups=groups)
    for other in reversed(others):
        # The other bundle's crops of the very same pictures.
        compared = compare(embedder, unseen, other, _load(folder, other, only=names))
        appendix = report.comparison(compared) + "\n\n" + appendix
    out = options.out or Path("runs") / f"report-{embedder.manifest.name}-{unseen.name}"
    report.write(out, embedder.manifest, evaluation, scores, _command(options), appendix)
    return (out / "report.md").read_text(encoding="utf-8")


def _groups(path: Path, people: Collection[str]) -> Mapping[str, str]:
    groups, unknown = groups_in(path, people)
    terminal.show_unknown(unknown, path)
    return groups


def _measure_list(embedder: Embedder, options: argparse.Namespace) -> str:
    lists = [lfw_lists.read(path) for path in (options.pairs, options.choose_on) if path]
    folder = PeopleFolder(options.data)
    lfw_lists.require_files(folder, lists)
    dataset = _load(folder, embedder, only={name for pair_list in lists for name, _ in pair_list.pictures})
    embeddings = embedder.embed(dataset.crops)
    scores = [lfw_protocol.score(dataset, embeddings, pair_list) for pair_list in lists]
    figures = lfw_protocol.figures(embedder.manifest, dataset, lists[0], *scores)
    out = options.out or Path("runs") / f"report-{embedder.manifest.name}-{options.pairs.stem}"
    return lfw_report.write(out, embedder.manifest, options.pairs.name, figures, _command(options))


def _measure_searches(embedder: Embedder, options: argparse.Namespace) -> str:
    folder = PeopleFolder(options.data)
    names = unseen_by([embedder.manifest], folder)
    terminal.show_shared([embedder.manifest], folder, names)
    unseen = _load(folder, embedder, only=names)
    rates = open_set(embedder.manifest, unseen, embedder.embed(unseen.crops))
    out = options.out or Path("runs") / f"report-{embedder.manifest.name}-{unseen.name}"
    return identification.write(out, rates, _command(options))


def _load(folder: PeopleFolder, embedder: Embedder, only: Collection[str] | None = None) -> Dataset:
    dataset = load(folder, embedder.faces, only=only, progress=terminal.progress("picture"))
    terminal.show_skipped(dataset)
    return dataset


def _command(options: argparse.Namespace) -> str:
    """The command as the user gave it, without the folders of this machine."""
    given = {"bundle": options.bundle, "data": options.data.name, "against": " --against ".join(options.against)}
    given["groups"] = options.groups and options.groups.name
    lists = {"pairs": options.pairs and options.pairs.name, "choose-on": options.choose_on and options.choose_on.name}
    flags = " ".join(f"--{name} {value}" for name, value in {**given, **lists}.items() if value)
    return f"python scripts/evaluate.py {flags}{' --identify' if options.identify else ''}"


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
