"""Chooses a bundle's thresholds on the people of a folder, and saves it anew: same weights, same contract id.

People whose pictures were in training are left out. One picture a person is enough for thresholds; the FNMRs are then
those of the bundle's own calibration, and the output says so.
"""

import argparse
from collections.abc import Collection
from pathlib import Path

import numpy as np
import terminal

from model import bundle
from model.bundle import Bundle
from model.data.dataset import Dataset, load
from model.data.people import DataError, PeopleFolder
from model.data.splits import without_test_people
from model.decision import LevelNotSupported
from model.embedding.embedder import Embedder
from model.error_rates.sample_size import require_support
from model.evaluation.calibration_data import calibrate_dataset
from model.evaluation.scoring import untrained, who_chose
from model.manifest import Calibration, Level, Manifest
from model.reports import sections
from model.reports.markdown import table
from model.search import SearchPolicy

SEARCH_LEVELS = (0.1, 0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True, help="a shipped bundle's name or a folder")
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder of pictures a person")
    parser.add_argument(
        "--out", type=Path, help="folder of the new bundle; without it, the thresholds are only printed"
    )
    parser.add_argument(
        "--same-people", action="store_true", help="use only the people who chose the present thresholds"
    )
    parser.add_argument(
        "--test-people",
        type=terminal.positive,
        default=0,
        help="number of people with two pictures or more to leave for evaluate.py (default: none)",
    )
    parser.add_argument(
        "--gallery",
        type=terminal.positive,
        help="number of people a stranger is compared with (default: as many as here)",
    )
    options = parser.parse_args()
    if options.out and options.out.exists():
        raise DataError(f"{options.out} exists already: choose another --out or remove it")
    loaded = bundle.load(bundle.find(options.bundle))
    folder = PeopleFolder(options.data)
    names = people(folder, loaded.manifest, same=options.same_people)
    if options.test_people:
        names = without_test_people(folder, names, options.test_people, np.random.default_rng(0))
    require_support(len(names))
    embedder = Embedder(loaded)
    dataset = load(folder, embedder.faces, only=names, progress=terminal.progress("picture"))
    terminal.show_skipped(dataset)
    calibration = _calibrate(loaded, embedder, dataset)
    print(report(calibration, len(dataset.people) if options.gallery is None else options.gallery))
    if options.out:
        bundle.save(options.out, loaded.recalibrated(options.out.name, calibration))
        print(f"saved {options.out}")


def people(folder: PeopleFolder, manifest: Manifest, *, same: bool = False) -> Collection[str]:
    """Names of people whom the weights have never learnt from or, if `same`, of those who chose the thresholds."""
    if same:
        return who_chose([manifest], folder, folder.files)
    unseen, everybody = untrained([manifest], folder), len(folder.files)
    if len(unseen) < everybody:
        print(f"{everybody - len(unseen)} of {everybody} people were in training and are left out")
    return unseen


def _calibrate(loaded: Bundle, embedder: Embedder, dataset: Dataset) -> Calibration:
    before = loaded.manifest.calibration
    return calibrate_dataset(
        dataset, embedder.embed(dataset.crops), fallback_genuine=before.genuine_tail if before else None
    )


def report(calibration: Calibration, gallery: int) -> str:
    """The levels as a table, and what they mean for a stranger who is compared with `gallery` people."""
    own = calibration.genuine_tail is None or calibration.genuine_tail.data == calibration.data
    lines = [
        table(
            ["FMR", "threshold", "FMR, 95 %", "FNMR (95 %)", f"chance of a false match among {gallery} people"],
            [_row(level, gallery) for level in calibration.levels],
        ),
        f"default level: {calibration.default_fmr:g}; intervals: the wider of exact binomial and bootstrap over people",
        "Of 100 samples of as many other people, 95 show a rate inside these intervals (prediction intervals).",
        "The last column assumes that the comparisons of one stranger are independent: 1 - (1 - FMR)^people.",
    ]
    lines += filter(None, [sections.with_warning(calibration.levels)])
    if not own and calibration.genuine_tail:
        lines.append(
            f"Nobody here has two pictures: FNMRs are those of the {calibration.genuine_tail.pairs} genuine pairs of "
            f"'{calibration.genuine_tail.data.name}', on which the bundle was calibrated before."
        )
    return "\n".join([*lines, *(_search(SearchPolicy(calibration), fpir, gallery) for fpir in SEARCH_LEVELS)])


def _search(policy: SearchPolicy, fpir: float, gallery: int) -> str:
    """What a search among so many people, with one photo each, is decided at."""
    what = f"search among {gallery} people at FPIR {fpir:g}: "
    try:
        point = policy.point(fpir, gallery, gallery)
    except LevelNotSupported:
        return f"{what}not supported by so few people"
    ends = [f"{low:.3g} to {high:.3g}" for low, high in (point.fpir_ci95, point.fnir_ci95)]
    how = "measured by searches" if point.source == "calibration" else "from the FMR, times the people"
    return f"{what}threshold {point.threshold:.6f} (FPIR {ends[0]}), FNIR {point.fnir:.3g} ({ends[1]}), {how}"


def _row(level: Level, gallery: int) -> list[str]:
    point = level.operating_point
    if point is None:
        return [f"{level.fmr:g}", f"not supported: {level.reason}", "", "", ""]
    fmr, fnmr = (f"{low:.3g} to {high:.3g}" for low, high in (point.fmr_ci95, point.fnmr_ci95))
    chance, most = (f"{1 - (1 - rate) ** gallery:.2g}" for rate in (level.fmr, point.fmr_ci95[1]))
    return [f"{level.fmr:g}", f"{point.threshold:.6f}", fmr, f"{point.fnmr:.3g} ({fnmr})", f"{chance}, at most {most}"]


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
