"""Compares a running service's counts with the calibration of its bundle: have cameras or people changed?

It reads the text of /metrics, which holds counts only.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import terminal
from prometheus_client.parser import text_string_to_metric_families

from model import bundle
from model.data.people import DataError
from model.evaluation.drift import BinCounts, Drift, distance_drift, drift
from model.manifest import Histogram, Histograms
from model.reports.markdown import table

QUALITIES = {
    "facepair_face_size_pixels": "size_px",
    "facepair_face_sharpness": "sharpness",
    "facepair_face_brightness": "brightness",
}
"""Series of the service and what the calibration calls them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True, help="the bundle that is served: a shipped one's name or a folder")
    parser.add_argument("--metrics", type=Path, help="file with the text of /metrics (default: standard input)")
    parser.add_argument("--since", type=Path, help="an earlier text of /metrics; its counts are subtracted")
    options = parser.parse_args()
    manifest = bundle.load(bundle.find(options.bundle)).manifest
    if manifest.calibration is None or manifest.calibration.histograms is None:
        raise DataError(f"bundle '{manifest.name}' holds no histograms: calibrate it anew with scripts/calibrate.py")
    text = options.metrics.read_text(encoding="utf-8") if options.metrics else sys.stdin.read()
    before = options.since.read_text(encoding="utf-8") if options.since else ""
    print(report(manifest.calibration.histograms, text, before))


def report(calibrated: Histograms, text: str, before: str = "") -> str:
    """A table of drifts and what they mean. Raises DataError where the text lacks a series or has other bins."""
    seen = _seen(text, before, "facepair_distance", calibrated.impostor_distance)
    distances, share = distance_drift(calibrated, seen)
    qualities = []
    for series, name in QUALITIES.items():
        expected: Histogram = getattr(calibrated, name)
        seen = _seen(text, before, series, expected)
        qualities.append(drift(name, np.array(expected.counts, np.float64), seen))
    rows = [_row(measured) for measured in (distances, *qualities)]
    lines = [table(["measure", "seen", "index", "chance alone (95 %)", "verdict"], rows)]
    lines.append(f"The distances fit best if {share:.0%} of the compared pairs show one person.")
    return "\n".join([*lines, _meaning(distances, qualities)])


def _row(measured: Drift) -> list[str]:
    index, chance = f"{measured.index:.3f}", f"{measured.chance:.3f}"
    return [measured.measure, f"{measured.seen}", index, chance, measured.verdict]


def _meaning(distances: Drift, qualities: list[Drift]) -> str:
    changed = [d.measure for d in qualities if d.verdict.startswith("changed")]
    if changed:
        return f"The pictures have changed ({', '.join(changed)}): other cameras, light or uploads. Calibrate anew."
    if distances.verdict.startswith("changed"):
        return "The pictures are alike but the distances are not: other people, perhaps. Calibrate anew."
    if "too few to say" in [d.verdict for d in (distances, *qualities)]:
        return "There is too little to say more."
    return "Nothing shows that cameras or people have changed."


def _seen(text: str, before: str, series: str, expected: Histogram) -> BinCounts:
    counts = _counts(text, series, expected)
    return counts - _counts(before, series, expected) if before else counts


def _counts(text: str, series: str, expected: Histogram) -> BinCounts:
    try:
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    except ValueError as error:
        raise DataError("that is not the text of /metrics") from error
    upto = {float(s.labels["le"]): s.value for s in samples if s.name == f"{series}_bucket"}
    if list(upto) != [*expected.edges[1:], float("inf")]:
        raise DataError(f"{series}: the bins are not those of the bundle; is another one served?")
    bins = np.diff([0.0, *upto.values()])
    bins[-2] += bins[-1]  # beyond the last edge
    return bins[:-1]


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
