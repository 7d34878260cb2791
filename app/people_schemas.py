"""The public shapes of people: what an enrolment and a search answer, as clients read it in OpenAPI."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from app.gallery.rules import MAX_ID, MAX_TEXT, NEW_PERSON_ID, is_small
from app.schemas import (
    Face,
    FmrEstimate,
    Interval,
    ModelIdentity,
    OperatingPoint,
    Problem,
    Quality,
    Rate,
    RequestId,
    Shape,
    without_default,
)

PersonId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Your own id of a person, never a name: 1 to 64 of A-Z a-z 0-9 . _ -",
        examples=["E1042"],
    ),
]
"""Of somebody who is there: a gallery may hold an id of dots alone from before these were refused."""
NewPersonId = Annotated[
    str,
    Field(
        pattern=f"^{NEW_PERSON_ID}$",
        max_length=MAX_ID,
        description="Your own id of a person, never a name: 1 to 64 of A-Z a-z 0-9 . _ -, not dots alone",
        examples=["E1042"],
    ),
]
PhotoId = Annotated[
    str,
    Field(
        description="Follows from the person and the file: the same file sent again has the same id",
        examples=["ph_9f2c4e0b7d5a4c1e8b3f6a2d0c9e7b51"],
    ),
]
Distance = Annotated[float, Field(ge=0, examples=[0.713042])]


def _small(metadata: dict[str, Any]) -> dict[str, Any]:
    if not is_small(metadata):
        raise ValueError
    return metadata


def _in_utc(time: datetime) -> datetime:
    """Raises ValueError where it is after the year 9999 there, or before the first."""
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError from None


class ProfileRequest(BaseModel):
    """What you say of a person; all of it may be left out. It is kept encrypted, like the vectors."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    display_name: str | None = Field(default=None, max_length=MAX_TEXT, examples=["Anna K."])
    metadata: Annotated[dict[str, Any], AfterValidator(_small)] = Field(
        default={},
        description="Any JSON object of at most 4 KB",
        examples=[{"desk": "3.14"}],
        json_schema_extra=without_default,
    )
    consent_reference: str | None = Field(
        default=None, max_length=MAX_TEXT, description="Where the person's consent is filed", examples=["form 2026-17"]
    )
    expires_at: Annotated[AwareDatetime, AfterValidator(_in_utc)] | None = Field(
        default=None,
        description="From then on the person is not found, and is erased soon after",
        examples=["2027-08-01T00:00:00Z"],
    )


class Photo(Shape):
    photo_id: PhotoId
    enrolled_at: datetime = Field(examples=["2026-11-24T21:00:00Z"])
    contract_id: str = Field(description="Of the bundle that embedded it", examples=["sha256:1f2e..."])
    quality: Quality
    warnings: list[str] = Field(examples=[[]])


class PersonSummary(Shape):
    person_id: str = Field(description="Your own id of the person", examples=["E1042"])
    display_name: str | None = Field(examples=["Anna K."])
    metadata: dict[str, Any] = Field(examples=[{"desk": "3.14"}])
    consent_reference: str | None = Field(examples=["form 2026-17"])
    created_at: datetime | None = Field(examples=["2026-11-24T21:00:00Z"])
    updated_at: datetime | None = Field(examples=["2026-11-24T21:00:00Z"])
    expires_at: datetime | None = Field(examples=["2027-08-01T00:00:00Z"])
    damaged: bool = Field(
        description="What is kept of the person cannot be read, and times are null: erase and enrol again"
    )


class Person(PersonSummary):
    photos: list[Photo]
    request_id: RequestId


class People(Shape):
    people: list[PersonSummary]
    next_cursor: str | None = Field(description="For the next page; null on the last", examples=["RTEwNDI"])
    request_id: RequestId


class Receipt(Shape):
    """Keep it: it is your proof that the person was erased, and `audit_id` names the entry of the audit."""

    person_id: PersonId
    photos_erased: int = Field(examples=[3])
    erased_at: datetime = Field(examples=["2026-11-24T21:00:00Z"])
    audit_id: int = Field(examples=[871])
    request_id: RequestId


class GalleryState(Shape):
    people: int = Field(examples=[500])
    photos: int = Field(description="That can be compared", examples=[1480])
    revision: int = Field(description="Rises with each change", examples=[871])


class AcceptedPhoto(Shape):
    photo_id: PhotoId
    status: Literal["enrolled", "already_enrolled"]
    quality: Quality
    warnings: list[str] = Field(description="What the gate found, where it was asked to warn", examples=[[]])


GateCode = Annotated[
    str,
    Field(
        description="Of the gate: several_faces, face_too_small, blurred, too_dark, too_bright, extreme_pose, "
        "face_cut, out_of_domain, differs_from_person (unlike the person's other photos), resembles_other_person (see "
        "`person_id`), too_many_photos; or the code of an error of the picture",
        examples=["blurred"],
    ),
]


class RejectedPhoto(Shape):
    index: int = Field(description="Of the picture in the request, from 0", examples=[1])
    code: GateCode
    detail: str = Field(examples=["The face is blurred."])
    person_id: str | None = Field(description="Whom it resembles, with `resembles_other_person`", examples=[None])


class Enrolment(Shape):
    person_id: PersonId
    accepted: list[AcceptedPhoto]
    rejected: list[RejectedPhoto]
    gallery: GalleryState
    model: ModelIdentity
    request_id: RequestId


class EnrolmentProblem(Problem):
    """No photo was good enough; nothing was changed."""

    rejected: list[RejectedPhoto]


class PersonVerification(Shape):
    same: bool = Field(description="Exactly `distance <= threshold`")
    distance: Distance
    threshold: float = Field(
        ge=0, description="For the nearest of so many photos: the more there are, the smaller", examples=[0.893]
    )
    metric: str = Field(examples=["euclidean"])
    photo_id: PhotoId
    photos: int = Field(description="Of the person, that were compared", examples=[3])
    operating_point: OperatingPoint
    fmr_estimate: FmrEstimate
    face: Face
    model: ModelIdentity
    request_id: RequestId


class SearchPoint(Shape):
    """The threshold of a search in a gallery of this size, and its error rates (ISO/IEC 19795-1)."""

    fpir: Rate = Field(
        description="False positive identification rate: share of searches by strangers that name anybody",
        examples=[0.01],
    )
    fpir_ci95: Interval = Field(examples=[[0.004, 0.02]])
    fnir: Rate = Field(
        description="False negative identification rate: share of searches by enrolled people that do not name them",
        examples=[0.04],
    )
    fnir_ci95: Interval = Field(examples=[[0.02, 0.07]])
    threshold: float = Field(ge=0, examples=[0.93])
    margin: float = Field(
        ge=0, description="`ambiguous` where another person lies less than this behind the best", examples=[0.05]
    )
    people: int = Field(examples=[500])
    photos: int = Field(examples=[1480])
    source: Literal["calibration", "union_bound"] = Field(
        description="calibration: measured by searches among calibration people; union_bound: the rate of pairs times "
        "the photos, which is never too low. The FNIR is then that of one photo a person",
    )


class Candidate(Shape):
    person_id: PersonId
    distance: Distance
    photo_id: PhotoId
    photos: int = Field(description="Of the person, that were compared", examples=[3])


class Identification(Shape):
    outcome: Literal["known", "ambiguous", "unknown"] = Field(
        description="unknown: nobody is under the threshold; ambiguous: another person lies less than `margin` behind "
        "the best, so it may be either; else known. Exactly one of the three"
    )
    person_id: str | None = Field(description="Who it is; null unless known", examples=["E1042"])
    distance: float | None = Field(
        description="The smallest, whoever's; null where nobody is enrolled", examples=[0.713042]
    )
    margin: float | None = Field(description="How far behind the next person lies", examples=[0.34])
    candidates: list[Candidate] = Field(description="Empty where unknown; two or more where ambiguous")
    operating_point: SearchPoint
    face: Face
    gallery: GalleryState
    model: ModelIdentity
    request_id: RequestId


class SearchLevel(Shape):
    fpir: Rate = Field(examples=[0.01])
    operating_point: SearchPoint | None = Field(
        description="null where the calibration cannot support the level in a gallery of this size"
    )


class Lookalikes(Shape):
    """Two people who lie closer than the threshold of a search: one may be named for the other."""

    person_id: PersonId
    other_person_id: PersonId
    distance: Distance


class SelfTest(Shape):
    """Each person's first photo, searched among all others."""

    searches: int = Field(
        description="Everybody, or of many people so many, evenly spread, as do not hold up others", examples=[500]
    )
    fpir: Rate | None = Field(description="Share that named somebody; null without searches", examples=[0.008])
    fpir_ci95: Interval | None = Field(examples=[[0.0031, 0.0204]])
    lookalikes: list[Lookalikes] = Field(description="The closest ten pairs under the threshold")
    at: datetime = Field(examples=["2026-11-24T21:00:00Z"])


class DamagedPhoto(Shape):
    person_id: PersonId
    photo_id: PhotoId


class Gallery(GalleryState):
    contract_id: str = Field(examples=["sha256:1f2e..."])
    stale_photos: int = Field(description="Enrolled with another bundle only: enrol them again", examples=[0])
    damaged_photos: list[DamagedPhoto] = Field(description="They are not compared: erase and enrol them again")
    operating_points: list[SearchLevel]
    self_test: SelfTest | None = Field(description="null while there are stale photos, or no level is supported")
    request_id: RequestId
