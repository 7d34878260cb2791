"""Decides: takes a distance and a false match rate, returns same or different and what that means. The whole policy."""

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from model.manifest import BundleError, Calibration, Manifest, OperatingPoint


class LevelNotSupported(Exception):  # noqa: N818 - the caller's choice, no fault
    """The bundle has no operating point at this false match rate."""


@dataclass(frozen=True)
class FmrEstimate:
    """The share of calibration impostor pairs at least this close, with its 95 % interval.

    `at_most` is true where no impostor pair was that close: then `value` is the interval's upper end.
    """

    value: float
    ci95: tuple[float, float]
    at_most: bool

    def of(self, comparisons: int) -> "FmrEstimate":
        """An upper bound of the share of so many pairs' sets in which at least one pair is this close."""
        if comparisons == 1:
            return self
        return FmrEstimate(min(1.0, comparisons * self.value), _of(self.ci95, comparisons), at_most=True)


@dataclass(frozen=True)
class Decision:
    """`same` is exactly `distance <= operating_point.threshold`."""

    same: bool
    distance: float
    operating_point: OperatingPoint
    fmr_estimate: FmrEstimate


class Policy:
    """The operating points of one calibration, and which of them applies when nobody asks for another."""

    def __init__(self, manifest: Manifest, default_fmr: float | None = None) -> None:
        """Raises BundleError where the bundle is not calibrated or does not support `default_fmr`."""
        if manifest.calibration is None:
            raise BundleError(f"bundle '{manifest.name}' has no operating points: it was never calibrated")
        self._calibration: Calibration = manifest.calibration
        self.operating_points = self._calibration.operating_points
        self._with_warning = {level.fmr: level.with_warning for level in self._calibration.levels}
        self.default_fmr = self._calibration.default_fmr if default_fmr is None else default_fmr
        if self.default_fmr not in self.operating_points:
            supported = ", ".join(f"{fmr:g}" for fmr in self.operating_points) or "none"
            raise BundleError(f"bundle '{manifest.name}' does not support FMR {self.default_fmr:g}, only: {supported}")

    def operating_point(self, fmr: float | None = None, comparisons: int = 1) -> OperatingPoint:
        """The operating point at this level, or at the default one. Raises LevelNotSupported.

        The level is that of so many comparisons together: of at least one false match among them. Each is decided at
        its share of the level, since the chance of one or another is at most the sum of their chances (Bonferroni),
        whether they depend on each other or not. The FNMR is that of one comparison.
        """
        try:
            point = self.operating_points[self.default_fmr if fmr is None else fmr]
        except KeyError:
            raise LevelNotSupported from None
        return point if comparisons == 1 else self._shared(point, comparisons)

    def decide(
        self, distance: float, fmr: float | None = None, comparisons: int = 1, warnings: Collection[str] = ()
    ) -> Decision:
        """Judges the smallest distance of so many comparisons at their common level. Raises LevelNotSupported.

        `warnings`: those of the pictures. The rates of the operating point, never its threshold, are then those of such
        pictures, where they were measured: of several warnings, those with the highest FMR.
        """
        point = self.operating_point(fmr, comparisons)
        if comparisons == 1:
            measured = [borne for borne in self._with_warning[point.fmr] if borne.measured_on in warnings]
            point = max(measured, key=lambda borne: borne.measured_fmr or 0.0, default=point)
        return Decision(distance <= point.threshold, distance, point, self._estimate(distance).of(comparisons))

    def _shared(self, point: OperatingPoint, comparisons: int) -> OperatingPoint:
        """The point whose FMR is this one's share of it; between two measured distances, the closer."""
        calibration, share = self._calibration, point.fmr / comparisons
        measured = [(tail.fmr, tail.distance, tail.ci95) for tail in calibration.impostor_tail]
        measured += [(level.fmr, level.threshold, level.fmr_ci95) for level in self.operating_points.values()]
        reached = [(distance, ci95) for fmr, distance, ci95 in measured if fmr <= share]
        genuine = calibration.genuine_tail
        if genuine is None or not reached or not _supports(point, share):
            raise LevelNotSupported
        threshold, ci95 = max(reached)
        index = bisect_right(genuine.points, threshold, key=lambda stored: stored.distance)
        fnmr, fnmr_ci95 = (
            (genuine.points[index - 1].fnmr, genuine.points[index - 1].ci95) if index else (1.0, (0.0, 1.0))
        )
        return msgspec.structs.replace(
            point, threshold=threshold, fmr_ci95=_of(ci95, comparisons), fnmr=fnmr, fnmr_ci95=fnmr_ci95
        )

    def _estimate(self, distance: float) -> FmrEstimate:
        tail = self._calibration.impostor_tail
        index = bisect_right(tail, distance, key=lambda point: point.distance)
        if index == 0:
            interval = self._calibration.fmr_ci95_below_tail
            return FmrEstimate(interval[1], interval, at_most=True)
        # Between two stored points, the farther one is reported: its FMR is never smaller than the measured one.
        exact = tail[index - 1].distance == distance
        point = tail[index - 1] if exact or index == len(tail) else tail[index]
        return FmrEstimate(point.fmr, point.ci95, at_most=False)


def _supports(point: OperatingPoint, fmr: float) -> bool:
    """Whether the data lets three false matches or more be expected, in pairs and in pairs of people, as calibration
    asks of its levels.
    """
    return round(3 / fmr) <= min(point.impostor_pairs, point.people * (point.people - 1) // 2)


def _of(ci95: tuple[float, float], comparisons: int) -> tuple[float, float]:
    """From one comparison to several: at least one's false match is as likely as one's, at most as all their sum."""
    return ci95[0], min(1.0, comparisons * ci95[1])
