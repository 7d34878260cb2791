"""The public shape of `GET /model`; those of the other routes are in `app.schemas`."""

from pydantic import Field

from app.schemas import ModelIdentity, OperatingPoint, Rate, Shape


class Level(Shape):
    fmr: Rate = Field(examples=[0.001])
    threshold: float | None = Field(
        description="null where the calibration data cannot support the level", examples=[0.340853]
    )
    operating_point: OperatingPoint | None
    reason: str | None = Field(description="Why the level is not supported", examples=[None])


class DistanceHistograms(Shape):
    """Counts of pairs by distance: n + 1 edges, n counts of each kind."""

    edges: list[float] = Field(examples=[[0.0, 0.2, 0.4, 0.6]])
    impostor: list[int] = Field(description="Pairs of strangers", examples=[[0, 40, 4460]])
    genuine: list[int] = Field(description="Pairs of one person", examples=[[310, 130, 10]])


class CalibrationData(Shape):
    """The people that the thresholds were chosen on; training never saw them."""

    data: str = Field(description="Name of the data", examples=["celeba"])
    people: int = Field(examples=[799])
    impostor_pairs: int = Field(examples=[2398836])
    genuine_pairs: int = Field(
        description="0 where there is one picture a person: the FNMRs are then those of `fnmr_data`", examples=[11274]
    )
    fnmr_data: str = Field(
        description="Name of the data whose pairs of one person are behind the FNMRs", examples=["celeba"]
    )
    distances: DistanceHistograms


class Limits(Shape):
    formats: list[str] = Field(examples=[["JPEG", "PNG", "WebP", "PGM", "PPM"]])
    max_file_bytes: int = Field(examples=[10485760])
    max_body_bytes: int = Field(examples=[22020096])
    max_pixels: int = Field(examples=[25000000])
    min_side: int = Field(examples=[32])
    max_scans: int = Field(description="Of a JPEG", examples=[100])


class Model(ModelIdentity):
    metric: str = Field(examples=["euclidean"])
    dimension: int = Field(examples=[128])
    normalized: bool = Field(examples=[True])
    detector: str = Field(description="whole_picture: none, the picture is the face", examples=["mtcnn"])
    default_fmr: Rate = Field(description="The level of decisions that ask for no other", examples=[0.001])
    levels: list[Level]
    calibration: CalibrationData | None = Field(description="null where the bundle was made before it was recorded")
    limits: Limits
    liveness_detection: bool = Field(description="Always false: a photo of a photo matches", examples=[False])
    licences: list[str] = Field(examples=[["starting weights: public domain (CC0), Davis E. King"]])
