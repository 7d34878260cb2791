"""Chooses operating points from distances of people whom training never saw. It applies no threshold."""

from bisect import bisect_right
from collections.abc import Sequence

import msgspec
import numpy as np

from model.data.people import DataError
from model.error_rates.at_thresholds import RatesAtThresholds, rounded
from model.error_rates.sample_size import LEVELS, too_few_people
from model.error_rates.scores import Floats, Scores, curve
from model.manifest import (
    Calibration,
    DataSource,
    GenuineTail,
    Level,
    OperatingPoint,
    TailPoint,
)

PREFERRED_LEVEL = 1e-3


def calibrate(
    scores: Scores, data: DataSource, levels: Sequence[float] = LEVELS, fallback_genuine: GenuineTail | None = None
) -> Calibration:
    """Computes operating points at these false match rates, and the tails of both kinds of distances.

    All intervals are prediction intervals: of the rates that as many other people will show.
    The default level is 1e-3, or the finest coarser one that the data supports. Where there are no genuine pairs,
    FNMRs are those of `fallback_genuine`, pairs of other data.
    Raises DataError where the data supports no level, or there are no genuine pairs at all.
    """
    impostors, genuine = scores.impostor_distances, scores.genuine_distances
    if len(impostors) == 0 or (len(genuine) == 0 and fallback_genuine is None):
        raise DataError("calibration needs two people or more, and a person with two pictures or more")
    reasons = {fmr: _reason_against(scores, fmr) for fmr in levels}
    supported = [fmr for fmr in levels if reasons[fmr] is None]
    if not supported:
        raise DataError(f"{scores.people} people with {len(impostors)} impostor pairs support no level")
    thresholds = [_threshold(scores, fmr) for fmr in supported]
    closest, farthest = _tail_distances(impostors), -_tail_distances(-genuine)[::-1]
    rates = RatesAtThresholds(scores, np.array([*thresholds, *closest, *farthest]))
    after = len(supported) + len(closest)
    genuine_tail = (
        GenuineTail(data, len(genuine), tuple(rates.genuine_points()[after:])) if len(genuine) else fallback_genuine
    )
    impostor_tail = _non_decreasing(rates.impostor_points()[len(supported) : after])
    points = {fmr: _operating_point(scores, fmr, rates, index) for index, fmr in enumerate(supported)}
    if fallback_genuine and genuine_tail is fallback_genuine:
        points = {fmr: _with_fnmr_of(fallback_genuine, point) for fmr, point in points.items()}
    return Calibration(
        data=data,
        levels=tuple(Level(fmr, points.get(fmr), reasons[fmr]) for fmr in levels),
        default_fmr=min((fmr for fmr in supported if fmr >= PREFERRED_LEVEL), default=max(supported)),
        impostor_tail=impostor_tail,
        fmr_ci95_below_tail=(0.0, max(min(1.0, rounded(3 / len(impostors))), impostor_tail[0].ci95[1])),
        genuine_tail=genuine_tail,
        intervals="prediction",
    )


def _reason_against(scores: Scores, fmr: float) -> str | None:
    impostor_pairs, needed = len(scores.impostor_distances), round(3 / fmr)
    if impostor_pairs < needed:
        return f"{impostor_pairs} impostor pairs; {needed} or more are needed"
    too_few = too_few_people(scores.people, fmr)
    if too_few:
        return too_few
    if not np.isfinite(_threshold(scores, fmr)):
        return "more impostor pairs than that are at the smallest distance of all"
    return None


def _threshold(scores: Scores, fmr: float) -> float:
    """The largest distance at which no more than this share of impostor pairs is accepted; -inf if there is none."""
    rates = curve(scores)
    return float(rates.thresholds[np.searchsorted(rates.fmr, fmr, side="right") - 1])


def _operating_point(scores: Scores, fmr: float, rates: RatesAtThresholds, index: int) -> OperatingPoint:
    return OperatingPoint(
        fmr=fmr,
        threshold=float(rates.thresholds[index]),
        fmr_ci95=rates.fmr_of_others(index),
        fnmr=rounded(float(rates.fnmr[index])),
        fnmr_ci95=rates.fnmr_of_others(index),
        impostor_pairs=len(scores.impostor_distances),
        genuine_pairs=len(scores.genuine_distances),
        people=scores.people,
        measured_fmr=rounded(float(rates.fmr[index])),
    )


def _with_fnmr_of(fallback_genuine: GenuineTail, point: OperatingPoint) -> OperatingPoint:
    # Between two stored points, the closer one is reported: its FNMR is never smaller than the measured one.
    index = bisect_right(fallback_genuine.points, point.threshold, key=lambda stored: stored.distance)
    fnmr, ci95 = (
        (fallback_genuine.points[index - 1].fnmr, fallback_genuine.points[index - 1].ci95)
        if index
        else (1.0, (0.0, 1.0))
    )
    return msgspec.structs.replace(point, fnmr=fnmr, fnmr_ci95=ci95, genuine_pairs=fallback_genuine.pairs)


def _non_decreasing(points: Sequence[TailPoint]) -> tuple[TailPoint, ...]:
    """Makes the upper bounds non-decreasing in distance."""
    highest = np.maximum.accumulate([point.ci95[1] for point in points]).tolist()
    pairs = zip(points, highest, strict=True)
    return tuple(msgspec.structs.replace(point, ci95=(point.ci95[0], high)) for point, high in pairs)


def _tail_distances(distances: Floats) -> Floats:
    """The distances at ranks 1, 2, 3 ... growing by a tenth, up to all: about a hundred; rising."""
    if len(distances) == 0:
        return distances
    closest = np.sort(distances)
    ranks = np.unique(np.round(1.1 ** np.arange(0, np.log(len(closest)) / np.log(1.1))).astype(np.int64))
    return np.unique(closest[np.append(ranks, len(closest)) - 1])
