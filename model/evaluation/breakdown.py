"""Computes error rates of each person and of each group at one threshold. It knows no picture."""

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from model.data.dataset import Indices
from model.data.people import DataError
from model.error_rates.at_thresholds import RatesAtThresholds
from model.error_rates.intervals import Estimate
from model.error_rates.sample_size import never_certain, too_few_people
from model.error_rates.scores import Floats, Scores

_WORST = 5
_HEAD = ["person", "group"]


@dataclass(frozen=True)
class PersonErrors:
    person: str
    errors: int
    pairs: int


@dataclass(frozen=True)
class GroupRates:
    """`reason` says why there are no rates: too few people. FMR is of pairs of strangers who are both in the group."""

    group: str
    people: int
    fmr: tuple[float, float, float] | None  # value, 95 % interval
    fnmr: tuple[float, float, float] | None
    reason: str | None = None


def fnmr_by_person(scores: Scores, people: Sequence[str], threshold: float) -> Estimate:
    """Mean FNMR of people who have genuine pairs, each counting once, with Student's 95 % interval of the mean."""
    rejected = np.bincount(scores.first[scores.genuine & (scores.distance > threshold)], minlength=len(people))
    pairs = _pairs(scores, people, True)
    rates = rejected[pairs > 0] / pairs[pairs > 0]
    mean, count = float(rates.mean()), len(rates)
    reach = float(stats.t.ppf(0.975, count - 1) * rates.std(ddof=1)) / count**0.5 if count > 1 else 1.0
    return Estimate(mean, never_certain(mean, (max(mean - reach, 0.0), min(mean + reach, 1.0)), count))


def told_apart_most(scores: Scores, people: Sequence[str], threshold: float) -> tuple[PersonErrors, ...]:
    """The people with the most genuine pairs rejected, the worst first."""
    rejected = scores.genuine & (scores.distance > threshold)
    return _most(np.bincount(scores.first[rejected], minlength=len(people)), _pairs(scores, people, True), people)


def taken_for_others_most(scores: Scores, people: Sequence[str], threshold: float) -> tuple[PersonErrors, ...]:
    """The people with the most impostor pairs accepted, the worst first; each such pair counts for both."""
    accepted = ~scores.genuine & (scores.distance <= threshold)
    both = np.concatenate([scores.first[accepted], scores.second[accepted]])
    return _most(np.bincount(both, minlength=len(people)), _pairs(scores, people, False), people)


def groups_in(path: Path, people: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """Reads rows `person,group` of a CSV file: these people's groups, and the names in the file that nobody has.

    Its first row may be its head. Raises DataError where the file is not such a list, or names nobody of them.
    """
    try:
        # A spreadsheet puts a byte order mark before the first name.
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for line in csv.reader(file) if any(row := [cell.strip() for cell in line])]
        groups_of_people = dict(rows[1:] if rows and [cell.lower() for cell in rows[0]] == _HEAD else rows)
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path} is not a list of rows: person,group") from error
    groups = {person: group for person, group in groups_of_people.items() if person in people}
    if not groups:
        raise DataError(f"{path} names nobody of these {len(people)} people")
    return groups, [person for person in groups_of_people if person not in people]


def by_group(
    scores: Scores, people: Sequence[str], groups: Mapping[str, str], threshold: float, level: float
) -> tuple[GroupRates, ...]:
    """FMR and FNMR of each group at the threshold that was chosen for `level`, groups in alphabetical order."""
    rates_of_groups = []
    for group in sorted(set(groups.values())):
        inside = np.array([groups.get(person) == group for person in people])
        count = int(inside.sum())
        reason = too_few_people(count, level)
        if reason:
            rates_of_groups.append(GroupRates(group, count, None, None, reason))
            continue
        pairs = inside[scores.first] & inside[scores.second]
        own = Scores(scores.distance[pairs], scores.genuine[pairs], scores.first[pairs], scores.second[pairs])
        rates = RatesAtThresholds(own, np.array([threshold]))
        fmr, fnmr = (float(rates.fmr[0]), *rates.fmr_ci95(0)), (float(rates.fnmr[0]), *rates.fnmr_ci95(0))
        rates_of_groups.append(GroupRates(group, count, fmr, fnmr if own.genuine.any() else None))
    return tuple(rates_of_groups)


def _pairs(scores: Scores, people: Sequence[str], genuine: bool) -> Floats:
    kind = scores.genuine == genuine
    counts = np.bincount(scores.first[kind], minlength=len(people)).astype(np.float64)
    return counts if genuine else counts + np.bincount(scores.second[kind], minlength=len(people))


def _most(errors: Floats | Indices, pairs: Floats, people: Sequence[str]) -> tuple[PersonErrors, ...]:
    worst = [int(i) for i in np.argsort(-errors, kind="stable")[:_WORST] if errors[i]]
    return tuple(PersonErrors(people[i], int(errors[i]), int(pairs[i])) for i in worst)
