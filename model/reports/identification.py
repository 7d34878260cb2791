"""Writes the rates of open-set identification as a report for people and programs. It measures nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from model.error_rates.intervals import Estimate
from model.evaluation.open_set import AtLevel, GalleryRates, OpenSet, PersonVerification
from model.reports import plots
from model.reports.markdown import table
from model.reports.readable_json import write_json

_USUAL_PEOPLE, _USUAL_LEVEL = 500, 0.01
_SUMMED = ("fpir", "fnir", "known", "ambiguous", "wrong_names")
_TERMS = """\
ISO/IEC 19795-1. FPIR, false positive identification rate: searches by strangers in which anybody lies under the
threshold. FNIR, false negative identification rate: searches by enrolled people in which their own nearest photo does
not. Thresholds are those that the service chooses for such a gallery from the bundle's calibration; "promised" is the
interval that its answers carry; "within chance": the interval here reaches into it. Outcomes are the service's:
`known` and right; `ambiguous`, under the threshold, with another person less than the margin behind the best; wrong
name, `known` as another enrolled person. Intervals are 95 %, the wider of exact binomial and a bootstrap over the
people searched and over galleries; galleries of nearly as many people as there are share most of them. A person's
searches in many galleries are one trial.

To compare with: NISTIR 8381 (Grother, Hom, Ngan and Hanaoka, "Face Recognition Vendor Test Part 7: Identification for
Paperless Travel and Immigration", 2021) enrolled 420 people, one airport photo each. The best algorithms found 99.5 %
and more of them, an FNIR of 0.5 % at most, at an FPIR of 0.3 %. Its photos are taken with cooperation; those here are
of the press or of a laboratory."""


def write(folder: Path, rates: OpenSet, command: str) -> str:
    """Writes identification.md, identification.json and identification.png into `folder`; returns the text."""
    folder.mkdir(parents=True, exist_ok=True)
    plot(rates).savefig(folder / "identification.png")
    data = {"name": rates.data.name, "sha256": rates.data.sha256, "people": len(rates.data.people)}
    record = {"command": command, **asdict(rates), "data": data | {"pictures": rates.data.pictures}}
    write_json(folder / "identification.json", record)
    text = markdown(rates, command)
    (folder / "identification.md").write_text(text, encoding="utf-8")
    return text


def markdown(rates: OpenSet, command: str) -> str:
    """The report's text; the plot lies beside it."""
    chose = rates.people_that_chose_thresholds
    seen = f"; {chose} of them chose the thresholds" if chose else ", none of whom chose a threshold"
    return "\n\n".join(
        [
            f"# Identification: bundle `{rates.bundle}` version {rates.version} on `{rates.data.name}`",
            f"{len(rates.data.people)} people, {rates.data.pictures} pictures{seen}.",
            "## At the thresholds that the service chooses",
            _galleries(rates.galleries),
            "## Enrolled people's searches at these thresholds",
            _outcomes(rates.galleries),
            "## Whatever the threshold",
            _curves(rates.galleries),
            "![FPIR against FNIR](identification.png)",
            "## One person's photos together (`/people/{person_id}/verify`)",
            _verification(rates.verification),
            "## Terms",
            _TERMS,
            f"Made by `{command}`. Contract `{rates.contract_id}`, data sha256 `{rates.data.sha256}`.\n",
        ]
    )


def plot(rates: OpenSet) -> Figure:
    """FPIR against FNIR, a curve for each gallery, with the service's thresholds as dots."""
    title = f"Identification: {rates.bundle} on {rates.data.name}\n(dots: at the service's thresholds)"
    figure, axes = plots.axes_of(title, "FPIR", "FNIR")
    axes.set(xscale="log", yscale="log", xlim=(7e-4, 0.7), ylim=(1e-3, 1))
    for number, gallery in enumerate(rates.galleries):
        colour, label = f"C{number}", _gallery(gallery)
        fpirs = [at.fpir for at in gallery.curve]
        axes.plot(fpirs, [at.fnir.value for at in gallery.curve], color=colour, label=label)
        low, high = zip(*(at.fnir.ci95 for at in gallery.curve), strict=True)
        axes.fill_between(fpirs, low, high, color=colour, alpha=0.12)
        for level in gallery.levels:
            axes.plot(level.fpir.value, level.fnir.value, "o", color=colour)
    axes.legend(fontsize="small")
    return figure


def _gallery(gallery: GalleryRates) -> str:
    return f"{gallery.people} people, {gallery.photos} photo{'s' if gallery.photos > 1 else ''} each"


def _galleries(galleries: tuple[GalleryRates, ...]) -> str:
    rows = [
        [
            _gallery(gallery),
            f"{gallery.nonmated_searches:,} by {gallery.strangers:,}",
            percent(level.point.fpir),
            f"{level.point.threshold:.3f}",
            percents(level.fpir),
            "{} to {} %".format(*(f"{100 * end:.3g}" for end in level.point.fpir_ci95)),
            _as_promised(level),
            percents(level.known_strangers),
        ]
        for gallery in galleries
        for level in gallery.levels
    ]
    head = [
        "gallery",
        "searches by strangers",
        "level (FPIR)",
        "threshold",
        "FPIR here (95 %)",
        "promised",
        "as promised",
    ]
    return table([*head, "of them `known`"], rows)


def _as_promised(level: AtLevel) -> str:
    promised, (low, _) = level.point.fpir_ci95[1], level.fpir.ci95
    if level.fpir.value <= promised:
        return "yes"
    return "higher, within chance" if low <= promised else "no: higher"


def _outcomes(galleries: tuple[GalleryRates, ...]) -> str:
    rows = [
        [
            _gallery(gallery),
            f"{gallery.mated_searches:,} by {gallery.enrolled:,}",
            percent(level.point.fpir),
            percents(level.fnir),
            percent(level.point.fnir),
            percents(level.known),
            percents(level.ambiguous),
            percents(level.wrong_names),
        ]
        for gallery in galleries
        for level in gallery.levels
    ]
    head = ["gallery", "searches by enrolled people", "level (FPIR)", "FNIR here (95 %)", "stated"]
    return table([*head, "`known`, right", "`ambiguous`", "wrong name"], rows)


def _curves(galleries: tuple[GalleryRates, ...]) -> str:
    grid = (0.01, 0.1)
    rows = [
        [_gallery(gallery), *(percents(found[fpir]) if fpir in found else "too few people" for fpir in grid)]
        for gallery in galleries
        for found in [{at.fpir: at.fnir for at in gallery.curve}]
    ]
    return table(["gallery", *(f"FNIR at FPIR {percent(fpir)}" for fpir in grid)], rows)


def _verification(verification: tuple[PersonVerification, ...]) -> str:
    if not verification:
        return "Too few people have enough photos."
    rows = [
        [
            f"{rates.photos}",
            f"{rates.level:g}",
            f"{rates.threshold:.3f}",
            f"{rates.fmr.value:.3g} ({rates.fmr.ci95[0]:.3g} to {rates.fmr.ci95[1]:.3g})",
            f"{rates.promised[0]:.3g} to {rates.promised[1]:.3g}",
            percents(rates.fnmr),
            f"{rates.impostor_comparisons:,}, {rates.genuine_comparisons:,}",
        ]
        for rates in verification
    ]
    head = ["photos", "level (FMR)", "threshold", "FMR here (95 %)", "promised", "FNMR here (95 %)"]
    return table([*head, "comparisons: strangers, own"], rows)


def summary(records: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> str:
    """A table of the galleries nearest to 500 people, at the usual level; `records`: of identification.json files."""
    rows = []
    for record in records:
        for photos in sorted({gallery["photos"] for gallery in record["galleries"]}):
            sizes = [gallery for gallery in record["galleries"] if gallery["photos"] == photos]
            gallery = min(sizes, key=lambda each: abs(each["people"] - _USUAL_PEOPLE))
            rows += [
                [
                    names.get(record["data"]["name"], f"`{record['data']['name']}`"),
                    f"{gallery['people']}, {photos}",
                    *(percents(Estimate(**level[name])) for name in _SUMMED),
                ]
                for level in gallery["levels"]
                if level["point"]["fpir"] == _USUAL_LEVEL
            ]
    head = ["data", "people, photos each", "FPIR", "FNIR", "`known`, right", "`ambiguous`", "wrong name"]
    return table(head, rows)


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def percents(estimate: Estimate) -> str:
    low, high = (f"{100 * end:.2g}" if end < 0.995 else "100" for end in estimate.ci95)
    return f"{100 * estimate.value:.2f} % ({low} to {high})"
