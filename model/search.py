"""The threshold of a search among many: how alike is too alike for chance, in a gallery of so many photos."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from model.decision import LevelNotSupported
from model.manifest import Calibration, GenuinePoint, Interval, RatePoint, TailPoint

Outcome = Literal["known", "ambiguous", "unknown"]
Source = Literal["calibration", "union_bound"]
MARGIN = 0.05
"""How far behind the best another person must lie, as a share of the threshold."""
_ERRORS_EXPECTED = 3
"""A level is supported where the data would show so many errors at it, as in the calibration of pairs."""


@dataclass(frozen=True)
class SearchPoint:
    """A threshold for searches in a gallery of so many `photos`, and its error rates (ISO/IEC 19795-1).

    `fpir`: the level asked for, the share of searches by strangers that name anybody; `fnir`: the share of searches by
    enrolled people that do not come under the threshold. `source`: `calibration`, from searches in galleries of the
    calibration people; `union_bound`, from the rate of pairs times the photos: never too low, since the chance of any
    is at most the sum of the chances.
    """

    fpir: float
    fpir_ci95: Interval
    fnir: float
    fnir_ci95: Interval
    threshold: float
    margin: float
    people: int
    photos: int
    source: Source

    def outcome(self, distances: Sequence[float]) -> Outcome:
        """Judges the nearest people's distances, which rise: exactly one of three, without a gap."""
        if not distances or distances[0] > self.threshold:
            return "unknown"
        if len(distances) > 1 and distances[1] - distances[0] < self.margin:
            return "ambiguous"
        return "known"


class SearchPolicy:
    """Thresholds for galleries of any size, from a bundle's calibration."""

    def __init__(self, calibration: Calibration) -> None:
        self._calibration = calibration
        self._identification = calibration.identification
        people = len(calibration.data.people)
        histograms = calibration.histograms
        pairs = sum(histograms.impostor_distance.counts) if histograms else people * (people - 1) // 2
        # Comparisons of the same two people go together: no more of them than pairs of people count.
        self._finest = _ERRORS_EXPECTED / max(1, min(pairs, people * (people - 1) // 2))

    def point(self, fpir: float, people: int, photos: int) -> SearchPoint:
        """The threshold at this level in such a gallery. Raises LevelNotSupported where the data is too little."""
        compared = max(1, photos)
        bounds = [*self._by_searches(fpir, compared), *self._by_pairs(fpir, compared)]
        if not bounds:
            raise LevelNotSupported
        source, nonmated = max(bounds, key=lambda bound: bound[1].distance)  # each holds by itself
        missed = self._missed(nonmated.distance, compared // max(1, people))
        return SearchPoint(
            fpir=fpir,
            fpir_ci95=nonmated.ci95,
            fnir=missed.rate,
            fnir_ci95=missed.ci95,
            threshold=nonmated.distance,
            margin=self._margin(nonmated.distance),
            people=people,
            photos=photos,
            source=source,
        )

    def _by_searches(self, fpir: float, compared: int) -> Iterator[tuple[Source, RatePoint]]:
        """For each measured size, the farthest distance that no larger share of strangers comes under.

        Where more photos are compared than were, the share grows with them at most: the union bound. Where fewer are,
        it is at most as large. Several photos of a person count as so many people: they are alike, so less would do.
        """
        for tail in self._identification.nonmated if self._identification else ():
            growth, shrinking = max(1.0, compared / tail.people), min(1.0, compared / tail.people)
            index = bisect_right(tail.points, fpir / growth, key=lambda point: point.rate)
            if index and fpir / growth >= _ERRORS_EXPECTED / tail.searchers:
                low, high = tail.points[index - 1].ci95
                rate = _share(tail.points[index - 1].rate * growth)
                ends = (_share(low * shrinking), _share(high * growth))
                yield "calibration", RatePoint(tail.points[index - 1].distance, rate, ends)

    def _by_pairs(self, fpir: float, compared: int) -> Iterator[tuple[Source, RatePoint]]:
        """The same from the rate of pairs."""
        with suppress(LevelNotSupported):
            stranger = self._stranger(fpir / compared)
            ends = (0.0, _share(stranger.ci95[1] * compared))
            yield "union_bound", RatePoint(stranger.distance, _share(stranger.fmr * compared), ends)

    def _margin(self, threshold: float) -> float:
        return self._identification.margin if self._identification else round(MARGIN * threshold, 6)

    def _missed(self, threshold: float, photos: int) -> RatePoint:
        """The share of searches by enrolled people who lie farther from all their photos."""
        measured = self._identification
        tails = [tail for tail in measured.mated if tail.photos <= max(1, photos)] if measured else []
        if not tails:
            genuine = self._genuine(threshold)
            return RatePoint(threshold, genuine.fnmr, genuine.ci95)
        points = max(tails, key=lambda tail: tail.photos).points
        index = bisect_right(points, threshold, key=lambda point: point.distance)
        found = points[index - 1] if index else RatePoint(0.0, 0.0, (0.0, 1.0))
        return RatePoint(threshold, _share(1 - found.rate), (_share(1 - found.ci95[1]), _share(1 - found.ci95[0])))

    def _stranger(self, fmr: float) -> TailPoint:
        """The farthest stored distance that no larger share of strangers comes under."""
        index = bisect_right(self._calibration.impostor_tail, fmr, key=lambda point: point.fmr)
        if index == 0 or fmr < self._finest:
            raise LevelNotSupported
        return self._calibration.impostor_tail[index - 1]

    def _genuine(self, threshold: float) -> GenuinePoint:
        """Of the stored points the next closer one: never a smaller share of misses than was measured."""
        points = self._calibration.genuine_tail.points if self._calibration.genuine_tail else ()
        index = bisect_right(points, threshold, key=lambda point: point.distance)
        return points[index - 1] if index else GenuinePoint(0.0, 1.0, (0.0, 1.0))


def _share(value: float) -> float:
    return float(f"{min(1.0, value):.3g}")
