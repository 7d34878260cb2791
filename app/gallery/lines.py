"""A line of an export, read as strictly as a request: what comes in may have been written by anybody. Keeps nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import numpy as np

from app.gallery.records import GalleryError, Quality
from app.gallery.rules import MAX_ID, MAX_TEXT, NEW_PERSON_ID, is_small
from app.malformed_json import MALFORMED
from model.manifest import LENGTH_TOLERANCE

_MOST_WARNINGS = 20
_MOST_BYTES = 2**16
"""Of a vector whose bundle is not known: far more than any has."""

_Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
_Warning = Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,40}\Z")]


@dataclass(frozen=True)
class Space:
    """Of the embeddings of the bundle that is served."""

    contract_id: str
    dimension: int
    normalized: bool


class PhotoLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`vector`: the embedding's float32 values, little-endian, in base64."""

    photo_id: Annotated[str, msgspec.Meta(pattern=r"^ph_[0-9a-f]{32}\Z")]
    contract_id: Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]
    enrolled_at: Annotated[datetime, msgspec.Meta(tz=True)]
    quality: Quality
    warnings: Annotated[tuple[_Warning, ...], msgspec.Meta(max_length=_MOST_WARNINGS)]
    vector: bytes


class PersonLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    person_id: Annotated[str, msgspec.Meta(pattern=rf"^{NEW_PERSON_ID}\Z", max_length=MAX_ID)]
    display_name: _Text | None
    metadata: dict[str, Any]
    consent_reference: _Text | None
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None
    photos: tuple[PhotoLine, ...]


def read_line(line: bytes, space: Space) -> PersonLine:
    """The person of a line. Raises GalleryError, which says what is wrong with it."""
    try:
        person = msgspec.json.decode(line, type=PersonLine)
    except MALFORMED as error:
        said = "".join(filter(str.isprintable, str(error)))[:200]  # it may repeat names of the line
        raise GalleryError(f"not a line of an export: {said}") from error
    if not is_small(person.metadata):
        raise GalleryError("the metadata is larger or deeper than a request's may be")
    if person.expires_at:
        _require_utc("expires_at", person.expires_at)
    _require_different(person.photos)
    for photo in person.photos:
        _require_utc("enrolled_at", photo.enrolled_at)
        _require_comparable(photo, space)
    return person


def _require_utc(name: str, time: datetime) -> None:
    try:
        time.astimezone(UTC)
    except OverflowError as error:
        raise GalleryError(f"{name} is after the year 9999, or before the first") from error


def _require_different(photos: Sequence[PhotoLine]) -> None:
    if len({(photo.photo_id, photo.contract_id) for photo in photos}) < len(photos):
        raise GalleryError("a photo is there twice")


def _require_comparable(photo: PhotoLine, space: Space) -> None:
    """Of another bundle's vectors no more is known than that they are finite."""
    ours, size = photo.contract_id == space.contract_id, len(photo.vector)
    if size != space.dimension * 4 if ours else size % 4 or not 0 < size <= _MOST_BYTES:
        raise GalleryError(f"the vector of {photo.photo_id} has another length than the bundle's")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        square = float(np.square(np.frombuffer(photo.vector, "<f4")).sum())
    if not np.isfinite(square):
        raise GalleryError(f"the vector of {photo.photo_id} has a value that is not finite")
    if ours and space.normalized and abs(square**0.5 - 1) > LENGTH_TOLERANCE:
        raise GalleryError(f"the vector of {photo.photo_id} does not have unit length")
