"""Says how promises travel to other data: realised over promised FMR, from reports. It measures nothing.

An FMR holds on photos like those that it was measured on. Transfer is the FMR at the bundle's threshold on another set
of people, divided by the FMR that the threshold was chosen for: 1 is as promised, above 1 more strangers are accepted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.reports.markdown import table
from model.reports.sections import FEW_ERRORS

_HEAD = ["data", "people", "level (FMR)", "transfer (95 %)", "false matches behind it"]


@dataclass(frozen=True)
class Transfer:
    """One level on one set; `ratio` and `ci95` are realised over promised FMR, from `errors` false matches."""

    data: str
    people: int
    level: float
    ratio: float
    ci95: tuple[float, float]
    errors: int

    @property
    def is_certain(self) -> bool:
        return self.errors >= FEW_ERRORS


def transfers(reports: Sequence[Mapping[str, Any]], names: Mapping[str, str] | None = None) -> list[Transfer]:
    """From what `report.json` files hold, the highest ratio first; those that rest on few errors come last.

    `names`: of data sets, where they are called otherwise. Sets whose people chose thresholds are left out.
    """
    measured = [
        Transfer(
            data=(names or {}).get(report["data"]["name"], f"`{report['data']['name']}`"),
            people=len(report["data"]["people"]),
            level=rate["level"],
            ratio=rate["fmr"]["value"] / rate["level"],
            ci95=(rate["fmr"]["ci95"][0] / rate["level"], rate["fmr"]["ci95"][1] / rate["level"]),
            errors=round(rate["fmr"]["value"] * report["impostor_pairs"]),
        )
        for report in reports
        if not report["people_that_chose_thresholds"]
        for rate in report["rates"]
    ]
    return sorted(measured, key=lambda transfer: (not transfer.is_certain, -transfer.ratio))


def markdown(measured: Sequence[Transfer]) -> str:
    """The worst one in a sentence, then all in a table; empty where nothing was measured."""
    if not measured:
        return ""
    worst = measured[0]
    return (
        "**Transfer** is the FMR realised on people who did not choose the threshold over the FMR promised. The worst: "
        f"on {worst.data}, at the threshold for FMR {worst.level:g}, **{worst.ratio:.2g} times** as many strangers are "
        f"taken for one person as promised (95 %: {_interval(worst)}; false matches: {_errors(worst)}).\n\n"
        + table(_HEAD, map(_row, measured))
    )


def _row(transfer: Transfer) -> list[str]:
    ratio = f"{transfer.ratio:.2g} ({_interval(transfer)})"
    return [transfer.data, f"{transfer.people:,}", f"{transfer.level:g}", ratio, _errors(transfer)]


def _interval(transfer: Transfer) -> str:
    return f"{transfer.ci95[0]:.2g} to {transfer.ci95[1]:.2g}"


def _errors(transfer: Transfer) -> str:
    return f"{transfer.errors:,}" + ("" if transfer.is_certain else f", fewer than {FEW_ERRORS}: uncertain")
