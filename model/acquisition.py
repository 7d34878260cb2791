"""Failures to acquire, and error rates that count them (ISO/IEC 19795-1: generalised rates); draws no conclusion."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy import stats

from model.data import Dataset


@dataclass(frozen=True)
class Acquisition:
    """Pictures that gave no crop, of all that people of the data set have; pairs as if none had failed."""

    pictures: int
    failures: int
    failure_ci95: tuple[float, float]
    genuine_pairs: int
    impostor_pairs: int

    def generalised_fnmr(self, fnmr: float, genuine_pairs: int) -> float:
        """A genuine pair that lacks a crop is rejected as well. `fnmr` is of `genuine_pairs` pairs with both crops."""
        return 1 - (1 - fnmr) * genuine_pairs / self.genuine_pairs

    def generalised_fmr(self, fmr: float, impostor_pairs: int) -> float:
        """An impostor pair that lacks a crop is never accepted."""
        return fmr * impostor_pairs / self.impostor_pairs


def acquisition(dataset: Dataset) -> Acquisition:
    """Counts the skipped files of the people in the data set; people without any crop are not in it."""
    people = {name: number for number, name in enumerate(dataset.people)}
    failed = Counter(people[each.path.parent.name] for each in dataset.skipped if each.path.parent.name in people)
    each = np.bincount(dataset.labels, minlength=len(people)) + np.array([failed[i] for i in range(len(people))])
    pictures, failures = int(each.sum()), sum(failed.values())
    interval = stats.binomtest(failures, pictures).proportion_ci(method="exact")
    genuine = int((each * (each - 1) // 2).sum())
    everything = pictures * (pictures - 1) // 2
    return Acquisition(pictures, failures, (float(interval.low), float(interval.high)), genuine, everything - genuine)
