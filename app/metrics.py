"""The metrics of one service, in a registry of its own; holds no picture and no embedding."""

from collections.abc import Callable, Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest

from app.errors import ErrorKind
from app.inference.verifier import Timings
from model.decision import Decision
from model.faces.face import Face
from model.manifest import Manifest, contract_id

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_FRACTIONS = tuple(step / 20 for step in range(1, 21))
_DISTANCES = tuple(step / 20 for step in range(1, 41))
_PIXELS = (20, 40, 60, 80, 100, 150, 200, 300, 500, 1000)


class Metrics:
    """Counts and measures one service. A reader of the metrics triggers the calls of `waiting` and `in_flight`."""

    def __init__(self, manifest: Manifest, waiting: Callable[[], int], in_flight: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._traffic(waiting, in_flight)
        self._pictures(manifest)
        labels = {"name": manifest.name, "version": manifest.version, "contract_id": contract_id(manifest)}
        Info("facepair_model", "The bundle that the service has loaded", registry=self._registry).info(labels)
        Info("facepair_build", "The version of the service", registry=self._registry).info(
            {"version": version("facepair")}
        )

    def _traffic(self, waiting: Callable[[], int], in_flight: Callable[[], int]) -> None:
        registry = self._registry
        self._requests = Counter(
            "facepair_requests",
            "Requests by route and status; 499: the client left before the answer",
            ["route", "status"],
            registry=registry,
        )
        self._errors = Counter(
            "facepair_errors", "Answers that are not 2xx, by error code", ["code"], registry=registry
        )
        for kind in ErrorKind:  # from zero: a series that begins at one has no rate, and the first fault would not show
            self._errors.labels(kind.code)
        self._seconds = Histogram(
            "facepair_request_seconds",
            "Seconds from the head of a request to the end of its answer",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._stages = Histogram(
            "facepair_stage_seconds",
            "Seconds that an answered request spent in each stage",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "facepair_batch_faces",
            "Faces in one batch of the network",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=registry,
        )
        Gauge("facepair_queue_faces", "Faces that wait for a batch", registry=registry).set_function(waiting)
        Gauge("facepair_requests_in_flight", "Requests that the service works on now", registry=registry).set_function(
            in_flight
        )

    def _pictures(self, manifest: Manifest) -> None:
        registry, known = self._registry, manifest.calibration and manifest.calibration.histograms
        self._decisions = Counter(
            "facepair_decisions", "Decisions by FMR level and result", ["fmr", "same"], registry=registry
        )

        def histogram(name: str, what: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(name, what, buckets=buckets, registry=registry)

        # The bins of the bundle's calibration make the two comparable (scripts/drift.py).
        self._distances = histogram(
            "facepair_distance",
            "Distances of the pairs that were compared",
            known.impostor_distance.edges[1:] if known else _DISTANCES,
        )
        self._sizes = histogram(
            "facepair_face_size_pixels",
            "Shorter sides of the faces, in pixels",
            known.size_px.edges[1:] if known else _PIXELS,
        )
        self._sharpness = histogram(
            "facepair_face_sharpness",
            "Sharpness of the face crops: 0 blurred, 1 sharp",
            known.sharpness.edges[1:] if known else _FRACTIONS,
        )
        self._brightness = histogram(
            "facepair_face_brightness",
            "Mean brightness of the face crops: 0 black, 1 white",
            known.brightness.edges[1:] if known else _FRACTIONS,
        )

    def request(self, route: str, status: int, seconds: float, code: str | None) -> None:
        """Counts a request that has ended."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if code:
            self._errors.labels(code).inc()

    def batch(self, faces: int) -> None:
        self._batches.observe(faces)

    def faces(self, faces: Sequence[Face], timings: Timings) -> None:
        """Counts the faces of one request that was answered."""
        for stage, seconds in vars(timings).items():
            self._stages.labels(stage).observe(seconds)
        for face in faces:
            self._sizes.observe(face.quality.size_px)
            self._sharpness.observe(face.quality.sharpness)
            self._brightness.observe(face.quality.brightness)

    def decision(self, decision: Decision, alone: bool = True) -> None:
        """Counts a decision. The smallest of several distances is not `alone`: it is no sample of distances."""
        self._decisions.labels(str(decision.operating_point.fmr), str(decision.same).lower()).inc()
        if alone:
            self._distances.observe(decision.distance)

    def text(self) -> bytes:
        return generate_latest(self._registry)
