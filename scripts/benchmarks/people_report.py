"""Writes what a gallery costs as JSON and as a table beside the targets. It measures nothing."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec
from benchmarks.results import Machine

from model.reports.markdown import table
from model.reports.readable_json import write_json

SEARCH_MS = {500: 1.0, 10_000: 3.0, 100_000: 10.0}
START_SECONDS, START_PEOPLE = 10.0, 100_000
ENROLMENT_RATIO = 1.1


class Size(msgspec.Struct, frozen=True):
    """A gallery of so many people. Milliseconds at the median, for each round: of `/embed`, of `/identify`, and of the
    search alone, by the service's own clock. `processor`: milliseconds of a core for a search, by how many are done
    together, in process. `start` in seconds, and `load` of a core for loading; `kib`: memory a person."""

    people: int
    embed: list[float]
    identify: list[float]
    search: list[float]
    processor: dict[int, float]
    start: float
    load: float
    kib: float


class Enrolling(msgspec.Struct, frozen=True):
    """Seconds for so many photos, in each round: by `gallery.py enrol`, and by `/embed` for as many callers.

    `enrolled`: those that the gate let in, in the last round."""

    photos: int
    enrolled: int
    enrol: list[float]
    embed: list[float]


class PeopleResults(msgspec.Struct, frozen=True):
    """By the store's name. `load`: how many processes wanted a core in the minute before, on average."""

    machine: Machine
    load: float
    callers: int
    sizes: dict[str, list[Size]]
    enrolling: dict[str, Enrolling] = {}


def save(results: PeopleResults, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "people.json", results)


def summary(results: PeopleResults) -> str:
    """A row a measure, a column a store. Where it is a median of rounds, with their range."""
    sizes = list(results.sizes.values())
    rows = []
    for each in zip(*sizes, strict=True):
        people, target = each[0].people, SEARCH_MS.get(each[0].people)
        most = f"at most {target:g} ms" if target else ""
        rows += [
            [f"the search alone, {people:,} people", *(f"{_spread(size.search)} ms" for size in each), most],
            [f"`/identify` beyond `/embed`, {people:,} people", *(f"{_beyond(size)} ms" for size in each), most],
            [f"`/embed`, {people:,} people", *(f"{_spread(size.embed, 0)} ms" for size in each), ""],
            *(
                [
                    f"processor time of a search among {people:,}, {_together(count)}",
                    *(f"{size.processor[count]:.2f} ms" for size in each),
                    "",
                ]
                for count in each[0].processor
            ),
        ]
    for each in zip(*sizes, strict=True):
        limit = f"at most {START_SECONDS:g} s" if each[0].people == START_PEOPLE else ""
        rows.append([f"start with {each[0].people:,} people", *(f"{size.start:.1f} s" for size in each), limit])
        rows.append([f"processor time of loading {each[0].people:,}", *(f"{size.load:.1f} s" for size in each), ""])
    largest = [size[-1] for size in sizes]
    rows.append([f"memory a person, of {largest[0].people:,}", *(f"{size.kib:.1f} KiB" for size in largest), ""])
    if results.enrolling:
        each_store = [results.enrolling[store] for store in results.sizes]
        name = f"enrolling {each_store[0].photos} photos, of embedding them"
        rows.append([name, *map(_enrolling, each_store), f"at most {ENROLMENT_RATIO:g}"])
    return table(["measure", *results.sizes, "target"], rows)


def _together(count: int) -> str:
    return "alone" if count == 1 else f"{count} together"


def _beyond(size: Size) -> str:
    return _spread([two - one for one, two in zip(size.embed, size.identify, strict=True)])


def _enrolling(measured: Enrolling) -> str:
    return _spread([two / one for one, two in zip(measured.embed, measured.enrol, strict=True)], 2)


def _spread(values: Sequence[float], decimals: int = 1) -> str:
    middle, low, high = (f"{value:.{decimals}f}" for value in (median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"
