"""A manifest as `GET /model` tells it; knows no request."""

from collections.abc import Sequence

from app.schemas import CalibrationData, DistanceHistograms, Limits, Model, ModelIdentity, OperatingPoint
from app.schemas import Level as LevelAnswer
from app.settings import Settings
from model.decision import Policy
from model.manifest import Calibration, Level, Manifest, contract_id

FORMATS = ["JPEG", "PNG", "WebP", "PGM", "PPM"]


def identity(manifest: Manifest) -> ModelIdentity:
    return ModelIdentity(name=manifest.name, version=manifest.version, contract_id=contract_id(manifest))


def description(manifest: Manifest, policy: Policy, settings: Settings) -> Model:
    return Model(
        **dict(identity(manifest)),
        metric=manifest.metric,
        dimension=manifest.embedding_size,
        normalized=manifest.normalized,
        detector=manifest.detector.name if manifest.detector else "whole_picture",
        default_fmr=policy.default_fmr,
        levels=_levels(manifest.calibration.levels if manifest.calibration else ()),
        calibration=_calibration(manifest.calibration),
        limits=Limits(formats=FORMATS, **settings.model_dump(include=set(Limits.model_fields))),
        liveness_detection=False,
        licences=list(manifest.licences),
    )


def _levels(levels: Sequence[Level]) -> list[LevelAnswer]:
    return [
        LevelAnswer(
            fmr=level.fmr,
            threshold=level.operating_point.threshold if level.operating_point else None,
            operating_point=level.operating_point and OperatingPoint.model_validate(level.operating_point),
            with_warning=[OperatingPoint.model_validate(point) for point in level.with_warning],
            reason=level.reason,
        )
        for level in levels
    ]


def _calibration(measured: Calibration | None) -> CalibrationData | None:
    if not (measured and measured.histograms and measured.genuine_tail):
        return None
    impostor, genuine = measured.histograms.impostor_distance, measured.histograms.genuine_distance
    return CalibrationData(
        data=measured.data.name,
        people=len(measured.data.people),
        impostor_pairs=sum(impostor.counts),
        genuine_pairs=sum(genuine.counts),
        fnmr_data=measured.genuine_tail.data.name,
        intervals=measured.intervals,
        distances=DistanceHistograms(
            edges=list(impostor.edges), impostor=list(impostor.counts), genuine=list(genuine.counts)
        ),
    )
