"""What a service counts of itself, as Prometheus reads it; a registry of its own, no picture and no embedding."""

from collections.abc import Callable, Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest

from app.inference.verifier import Timings
from model.decision import Decision
from model.faces.face import Face
from model.manifest import Manifest, contract_id

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_FRACTIONS = tuple(step / 20 for step in range(1, 21))
_DISTANCES = tuple(step / 20 for step in range(1, 41))
_PIXELS = (20, 40, 60, 80, 100, 150, 200, 300, 500, 1000)


class Metrics:
    """Every series of one service; `waiting` and `in_flight` are asked when somebody reads them."""

    def __init__(self, manifest: Manifest, waiting: Callable[[], int], in_flight: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._traffic(waiting, in_flight)
        self._pictures(manifest)
        labels = {"name": manifest.name, "version": manifest.version, "contract_id": contract_id(manifest)}
        Info("facepair_model", "The bundle that is served", registry=self._registry).info(labels)
        Info("facepair_build", "The service", registry=self._registry).info({"version": version("facepair")})

    def _traffic(self, waiting: Callable[[], int], in_flight: Callable[[], int]) -> None:
        registry = self._registry
        self._requests = Counter(
            "facepair_requests", "Requests; status 499: the client left", ["route", "status"], registry=registry
        )
        self._errors = Counter("facepair_errors", "Answers that are not 2xx", ["code"], registry=registry)
        self._seconds = Histogram(
            "facepair_request_seconds", "From head to answer", ["route"], buckets=_SECONDS, registry=registry
        )
        self._stages = Histogram(
            "facepair_stage_seconds", "Of what was answered", ["stage"], buckets=_SECONDS, registry=registry
        )
        self._batches = Histogram(
            "facepair_batch_faces", "Faces embedded in one go", buckets=(1, 2, 4, 8, 16, 32, 64), registry=registry
        )
        Gauge("facepair_queue_faces", "Faces that wait for their batch", registry=registry).set_function(waiting)
        Gauge("facepair_requests_in_flight", "Requests let in, not yet answered", registry=registry).set_function(
            in_flight
        )

    def _pictures(self, manifest: Manifest) -> None:
        registry, known = self._registry, manifest.calibration and manifest.calibration.histograms
        self._decisions = Counter("facepair_decisions", "Decisions, by level", ["fmr", "same"], registry=registry)

        def histogram(name: str, what: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(name, what, buckets=buckets, registry=registry)

        # Where the bundle has them, the bins are those of its calibration, so that both can be compared.
        self._distances = histogram(
            "facepair_distance", "Of the pairs compared", known.impostor_distance.edges[1:] if known else _DISTANCES
        )
        self._sizes = histogram(
            "facepair_face_size_pixels", "Of the faces taken", known.size_px.edges[1:] if known else _PIXELS
        )
        self._sharpness = histogram(
            "facepair_face_sharpness", "Of the faces taken", known.sharpness.edges[1:] if known else _FRACTIONS
        )
        self._brightness = histogram(
            "facepair_face_brightness", "Of the faces taken", known.brightness.edges[1:] if known else _FRACTIONS
        )

    def request(self, route: str, status: int, seconds: float, code: str | None) -> None:
        """A request has ended."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if code:
            self._errors.labels(code).inc()

    def batch(self, faces: int) -> None:
        self._batches.observe(faces)

    def faces(self, faces: Sequence[Face], timings: Timings) -> None:
        """The faces of one request that came to its end."""
        for stage, seconds in vars(timings).items():
            self._stages.labels(stage).observe(seconds)
        for face in faces:
            self._sizes.observe(face.quality.size_px)
            self._sharpness.observe(face.quality.sharpness)
            self._brightness.observe(face.quality.brightness)

    def decision(self, decision: Decision) -> None:
        self._decisions.labels(str(decision.operating_point.fmr), str(decision.same).lower()).inc()
        self._distances.observe(decision.distance)

    def text(self) -> bytes:
        return generate_latest(self._registry)
