"""Counts failures to acquire, and error rates that include them (the generalised rates of ISO/IEC 19795-1)."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy import stats

from model.data.dataset import NO_PICTURE, TOO_FEW_PICTURES, Dataset


@dataclass(frozen=True)
class Acquisition:
    """Pictures that gave no crop, of all that people have; pairs as if none had failed.

    `lost_people`: those of whom every picture failed, counted in all the rest. `other_files`: no pictures at all, by
    their first bytes, and counted in nothing else.
    """

    pictures: int
    failures: int
    failure_ci95: tuple[float, float]
    genuine_pairs: int
    impostor_pairs: int
    lost_people: int
    other_files: int

    def generalised_fnmr(self, fnmr: float, genuine_pairs: int) -> float:
        """Counts a genuine pair that lacks a crop as rejected. `fnmr` is of `genuine_pairs` pairs with both crops."""
        return 1 - (1 - fnmr) * genuine_pairs / self.genuine_pairs

    def generalised_fmr(self, fmr: float, impostor_pairs: int) -> float:
        """Counts an impostor pair that lacks a crop as not accepted."""
        return fmr * impostor_pairs / self.impostor_pairs


def acquisition(dataset: Dataset) -> Acquisition:
    """Counts the skipped pictures of the people in the data set, and those of the people that it has lost."""
    people = {name: number for number, name in enumerate(dataset.people)}
    files = [
        (left_out.path.parent.name, left_out.reason)
        for left_out in dataset.skipped
        if left_out.reason != TOO_FEW_PICTURES
    ]
    failed = Counter(people[name] for name, reason in files if name in people and reason != NO_PICTURE)
    lost = np.array([count for _, count in dataset.lost], dtype=np.int64)
    pictures_of = np.bincount(dataset.labels, minlength=len(people)) + np.array([failed[i] for i in range(len(people))])
    pictures_of = np.concatenate([pictures_of, lost])
    pictures, failures = int(pictures_of.sum()), sum(failed.values()) + int(lost.sum())
    interval = stats.binomtest(failures, pictures).proportion_ci(method="exact")
    genuine = int((pictures_of * (pictures_of - 1) // 2).sum())
    return Acquisition(
        pictures=pictures,
        failures=failures,
        failure_ci95=(float(interval.low), float(interval.high)),
        genuine_pairs=genuine,
        impostor_pairs=pictures * (pictures - 1) // 2 - genuine,
        lost_people=len(lost),
        other_files=sum(reason == NO_PICTURE for _, reason in files),
    )
