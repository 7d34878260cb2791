"""What a gallery holds, and what can be wrong with a wish to change it; knows no storage and no request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class GalleryError(Exception):
    """The gallery cannot be opened or read as a whole; the message is one line, in the operator's terms."""


class GalleryUnavailable(Exception):  # noqa: N818 - a state of the database, no fault of the caller
    """The database does not answer or cannot write now; trying again is safe. The message is one line."""

    def __init__(
        self, message: str = "the gallery's database does not answer, is locked or damaged, or its disk is full"
    ) -> None:
        super().__init__(message)


class DamagedError(Exception):
    """What was sealed does not open: another key, another place, or damage."""


class PersonNotFound(Exception):  # noqa: N818 - the caller's choice, no fault
    """Nobody is enrolled under this id."""


class PhotoNotFound(Exception):  # noqa: N818 - the caller's choice, no fault
    """The person has no such photo, or none that this bundle can compare."""


class PreconditionFailed(Exception):  # noqa: N818 - the caller's choice, no fault
    """The person has changed since the caller looked, or is not there."""


class GalleryFull(Exception):  # noqa: N818 - a limit, no fault
    """There are as many people, or as many photos of the person, as the limits allow."""


class ContractMismatch(Exception):  # noqa: N818 - a state, no fault
    """Photos were enrolled with another bundle and cannot be compared with this one's embeddings."""


@dataclass(frozen=True)
class Profile:
    """What the caller says of a person; encrypted like the vectors."""

    display_name: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    consent_reference: str | None = None


class Quality(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a face in a photo, as /embed gave it."""

    size_px: Annotated[int, msgspec.Meta(ge=0)]
    sharpness: _Share
    brightness: _Share


@dataclass(frozen=True)
class Photo:
    """A photo that was enrolled; the picture itself is never kept. `quality` and `warnings` as /embed gave them."""

    photo_id: str
    contract_id: str
    enrolled_at: datetime
    quality: Mapping[str, float]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Person:
    """`revision`: of the gallery, when this person last changed; times are in UTC.

    Of somebody damaged, profile and times are None.
    """

    person_id: str
    profile: Profile | None
    created_at: datetime | None
    updated_at: datetime | None
    expires_at: datetime | None
    revision: int
    photos: tuple[Photo, ...] = ()


@dataclass(frozen=True)
class NewPhoto:
    """`vector`: the embedding's float32 bytes. `enrolled_at`: None for now."""

    photo_id: str
    vector: memoryview
    quality: Mapping[str, float]
    warnings: tuple[str, ...]
    enrolled_at: datetime | None = None


@dataclass(frozen=True)
class Receipt:
    """What was erased, and the number of the audit's entry that says so."""

    person_id: str
    photos_erased: int
    erased_at: datetime
    audit_id: int


@dataclass(frozen=True)
class Limits:
    """`photos`: of one person."""

    people: int = 10_000
    photos: int = 20


def to_text(time: datetime) -> str:
    """As both stores keep a time: UTC, milliseconds; sorts as the times do."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds")


def to_time(text: str) -> datetime:
    """Raises DamagedError."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise DamagedError from error
