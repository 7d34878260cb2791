"""Decides: takes a distance and a false match rate, returns same or different and what that means. The whole policy."""

from bisect import bisect_right
from dataclasses import dataclass

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
        self.default_fmr = self._calibration.default_fmr if default_fmr is None else default_fmr
        if self.default_fmr not in self.operating_points:
            supported = ", ".join(f"{fmr:g}" for fmr in self.operating_points) or "none"
            raise BundleError(f"bundle '{manifest.name}' does not support FMR {self.default_fmr:g}, only: {supported}")

    def operating_point(self, fmr: float | None = None) -> OperatingPoint:
        """The operating point at this level, or at the default one. Raises LevelNotSupported."""
        try:
            return self.operating_points[self.default_fmr if fmr is None else fmr]
        except KeyError:
            raise LevelNotSupported from None

    def decide(self, distance: float, fmr: float | None = None) -> Decision:
        """Judges a distance at a level. Raises LevelNotSupported."""
        point = self.operating_point(fmr)
        return Decision(distance <= point.threshold, distance, point, self._estimate(distance))

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
