"""The public shapes of answers: the contract that clients read in the OpenAPI document."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field
from pydantic.json_schema import SkipJsonSchema

from model.faces.face import FaceWarning

Rate = Annotated[float, Field(ge=0, le=1)]
RequestId = Annotated[str, Field(description="Finds the request in the log", examples=["5b0c1a7e"])]
Interval = Annotated[
    tuple[Rate, Rate], Field(description="95 % prediction interval: of the rate among as many other people")
]

Vector = Annotated[list[float], FailFast()]
"""An embedding that a caller sends: of tens of thousands of faults only the first is looked for."""

MAX_OTHERS = 1000
"""The most embeddings that one request compares."""


def without_default(schema: dict[str, Any]) -> None:
    """For members that are left out rather than null."""
    del schema["default"]


class Shape(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Box(Shape):
    """Integer pixels of the upright picture (EXIF orientation applied), origin top left."""

    x: int = Field(examples=[31])
    y: int = Field(examples=[44])
    width: int = Field(examples=[120])
    height: int = Field(examples=[151])


class Quality(Shape):
    size_px: int = Field(description="Shorter side of the face in the picture, in pixels", examples=[120])
    sharpness: Rate = Field(description="Of the crop: 0 all blur, 1 all detail (Crete et al., 2007)", examples=[0.71])
    brightness: Rate = Field(description="Mean of the crop: 0 black, 1 white", examples=[0.52])


class Face(Shape):
    box: Box
    score: Rate | None = Field(
        description="The detector's score; null where the bundle has no detector", examples=[0.9998]
    )
    count: int = Field(
        description="Faces found in the picture; the largest is taken, where one near the border counts for less",
        examples=[1],
    )
    quality: Quality
    warnings: list[FaceWarning] = Field(
        description="Reasons to trust this face less. `out_of_domain`: it is unlike the faces that the error rates "
        "were measured on. `no_detector`: the bundle has no detector and takes the whole picture as the face.",
        examples=[["small_face"]],
    )


class OperatingPoint(Shape):
    """A threshold and its error rates, measured on people that training never saw.

    Intervals are for *other* people: of 100 samples of as many others with such pictures, 95 show a rate inside
    (prediction intervals). Bundles calibrated by versions before 0.2 have narrower ones: see `GET /model`.

    With `faces2=all` the FMR is that of all comparisons together: of at least one false match among them.
    """

    fmr: Rate = Field(
        description="False match rate: share of pairs of strangers taken for one person", examples=[0.001]
    )
    fmr_ci95: Interval = Field(examples=[[0.000533, 0.00188]])
    fnmr: Rate = Field(description="False non-match rate: share of pairs of one person told apart", examples=[0.148])
    fnmr_ci95: Interval = Field(examples=[[0.0991, 0.216]])
    impostor_pairs: int = Field(description="Pairs of strangers behind the FMR", examples=[2398836])
    genuine_pairs: int = Field(description="Pairs of one person behind the FNMR", examples=[11274])
    people: int = Field(examples=[799])
    measured_on: str = Field(
        description="`all`: rates are of all pairs. A warning: those of `/verify` about a picture that bears it, of "
        "pairs of which a picture at least bears it, where enough were measured; the threshold is the same for all",
        examples=["all"],
    )
    measured_fmr: Rate | None = Field(
        description="The FMR of these pairs at the threshold; null where the bundle was calibrated before 0.2",
        examples=[0.000999],
    )


class FmrEstimate(Shape):
    """What the distance means: the share of pairs of strangers in the calibration data that are at least as close.

    The interval is that of the share among as many other people, as in operating points.

    With `faces2=all`: at most this share of pictures with so many strangers has a face that is at least as close.
    """

    value: Rate = Field(examples=[0.000399])
    ci95: Interval = Field(examples=[[0.000159, 0.000995]])
    at_most: bool = Field(
        description="True where `value` is an upper bound: of no such pair of strangers, or of several faces",
        examples=[False],
    )


class ModelIdentity(Shape):
    name: str = Field(examples=["default"])
    version: str = Field(examples=["1"])
    contract_id: str = Field(
        description="Names the embedding space: compare embeddings only where it is equal", examples=["sha256:1f2e..."]
    )


class VerificationFaces(Shape):
    """The face taken from each picture."""

    image1: Face
    image2: Face = Field(description="With `faces2=all`, the face that is closest to that of `image1`")


class FaceComparison(Shape):
    """The face of `image1` compared with one face of `image2`."""

    same: bool = Field(description="Exactly `distance <= threshold`")
    distance: float = Field(ge=0, description="Lower is more alike", examples=[0.324888])
    face: Face


class Verification(Shape):
    """The decision. With `faces2=all` it says whether any face of `image2` is the same, at an FMR for all together."""

    same: bool = Field(description="Exactly `distance <= threshold`")
    distance: float = Field(
        ge=0, description="Lower is more alike; 0 for a picture against itself", examples=[0.324888]
    )
    threshold: float = Field(ge=0, examples=[0.340853])
    metric: str = Field(examples=["euclidean"])
    operating_point: OperatingPoint
    fmr_estimate: FmrEstimate
    faces: VerificationFaces
    comparisons: list[FaceComparison] | SkipJsonSchema[None] = Field(
        default=None,
        description="Only with `faces2=all`: one for each face of `image2`, the largest first",
        json_schema_extra=without_default,
    )
    model: ModelIdentity
    request_id: RequestId


class Embedding(Shape):
    embedding: list[float] = Field(
        description="float32 values; biometric data: treat it as such", examples=[[0.0412, -0.1033, 0.0871]]
    )
    dimension: int = Field(examples=[128])
    metric: str = Field(examples=["euclidean"])
    normalized: bool = Field(description="Whether embeddings have unit length (distances then end at 2)")
    face: Face
    model: ModelIdentity
    request_id: RequestId


class ComparisonRequest(BaseModel):
    """Embeddings that `/embed` gave; all of one bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    embedding: Vector = Field(description="The embedding to compare", examples=[[0.6, 0.0, -0.8]])
    others: Annotated[list[Vector], FailFast()] = Field(
        description="The embeddings to compare it with",
        min_length=1,
        max_length=MAX_OTHERS,
        examples=[[[0.6, 0.0, -0.8], [0.0, 1.0, 0.0]]],
    )
    contract_id: str = Field(
        description="The `model.contract_id` that came with the embeddings", examples=["sha256:1f2e..."]
    )
    fmr: Annotated[float, Field(gt=0, lt=1)] | SkipJsonSchema[None] = Field(
        default=None,
        description="The false match rate to decide each comparison at, one of the bundle's levels",
        examples=[0.001],
        json_schema_extra=without_default,
    )


class EmbeddingComparison(Shape):
    same: bool = Field(description="Exactly `distance <= threshold`")
    distance: float = Field(ge=0, description="Lower is more alike", examples=[0.324888])
    fmr_estimate: FmrEstimate


class Comparison(Shape):
    results: list[EmbeddingComparison] = Field(description="One for each of `others`, in the same order")
    threshold: float = Field(ge=0, examples=[0.340853])
    metric: str = Field(examples=["euclidean"])
    operating_point: OperatingPoint = Field(description="Its rates hold for each comparison by itself")
    model: ModelIdentity
    request_id: RequestId


class Status(Shape):
    status: str = Field(examples=["ok"])


class Problem(Shape):
    """The body of every answer that is not 2xx (RFC 9457)."""

    type: str = Field(examples=["urn:facepair:error:image_corrupt"])
    title: str = Field(examples=["Unprocessable Entity"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["The picture is damaged and cannot be decoded."])
    code: str = Field(
        description="What went wrong. Codes are stable: decide by them; new ones may come", examples=["image_corrupt"]
    )
    image: str | SkipJsonSchema[None] = Field(
        default=None, description="The picture at fault", examples=["image1"], json_schema_extra=without_default
    )
    request_id: RequestId


class Level(Shape):
    fmr: Rate = Field(examples=[0.001])
    threshold: float | None = Field(
        description="null where the calibration data cannot support the level", examples=[0.340853]
    )
    operating_point: OperatingPoint | None
    with_warning: list[OperatingPoint] = Field(
        description="The rates at the same threshold for pictures that bear a warning, where enough were measured"
    )
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
    intervals: Literal["confidence", "prediction"] = Field(
        description="What the 95 % intervals hold: `prediction`, the rate among as many other people; `confidence`, in "
        "calibrations by versions before 0.2, only the rate of all such people together",
        examples=["prediction"],
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
