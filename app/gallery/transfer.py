"""A gallery as lines of JSON, a person a line, with vectors in the clear; and back. Knows no file."""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import msgspec

from app.gallery.database import Connection
from app.gallery.lines import PersonLine
from app.gallery.records import DamagedError, NewPhoto, PersonNotFound, Profile, to_text
from app.gallery.register import Register, vector_context

_PAGE = 100


def export(register: Register) -> Iterator[bytes]:
    """A line for each person, by id. Whoever and what is damaged is left out. Raises GalleryUnavailable."""
    after: str | None = ""
    while after is not None:
        page = register.people(_PAGE, after)
        for person in page.people:
            with suppress(PersonNotFound, DamagedError):  # erased since, or not to be read
                yield register.database.read(partial(_line, register, person.person_id)) + b"\n"
        after = page.next_after


def put_line(register: Register, person: PersonLine, caller: str) -> None:
    """Puts a person with all photos, or what is missing of them.

    Raises GalleryFull; PersonNotFound where the person's time is over since the export, and then changes nothing.
    """
    profile = Profile(person.display_name, person.metadata, person.consent_reference)
    register.put(person.person_id, profile, person.expires_at, caller)
    by_contract: dict[str, list[NewPhoto]] = {}
    for photo in person.photos:
        quality = msgspec.structs.asdict(photo.quality)
        new = NewPhoto(photo.photo_id, memoryview(photo.vector), quality, photo.warnings, photo.enrolled_at)
        by_contract.setdefault(photo.contract_id, []).append(new)
    for contract_id, photos in by_contract.items():
        register.enrol(person.person_id, photos, contract_id, caller, "imported", makes=False)


def _line(register: Register, person_id: str, connection: Connection) -> bytes:
    """Raises PersonNotFound, DamagedError."""
    person = register.person_with_photos(connection, person_id)
    if person.profile is None:
        raise DamagedError
    profile = person.profile
    vectors = _vectors(register, person_id, connection)
    photos = [
        {
            "photo_id": photo.photo_id,
            "contract_id": photo.contract_id,
            "enrolled_at": to_text(photo.enrolled_at),
            "quality": photo.quality,
            "warnings": photo.warnings,
            "vector": vectors[photo.photo_id, photo.contract_id],
        }
        for photo in person.photos
        if (photo.photo_id, photo.contract_id) in vectors
    ]
    told = {
        "person_id": person_id,
        "display_name": profile.display_name,
        "metadata": profile.metadata,
        "consent_reference": profile.consent_reference,
        "expires_at": to_text(person.expires_at) if person.expires_at else None,
        "photos": photos,
    }
    return json.dumps(told, ensure_ascii=False).encode()


def _vectors(register: Register, person_id: str, connection: Connection) -> dict[tuple[str, str], str]:
    """In base64, by photo and contract, of a person who is there. Raises DamagedError."""
    vectors: dict[tuple[str, str], str] = {}
    [(key,)] = connection.execute("SELECT key FROM people WHERE person_id = ?", (person_id,))
    photos = connection.execute("SELECT photo_id, contract_id, vector FROM photos WHERE person_id = ?", (person_id,))
    sealing = register.opened(connection, key, person_id)
    for photo_id, contract_id, sealed in photos:
        with suppress(DamagedError):
            plain = sealing.open(sealed, *vector_context(person_id, photo_id, contract_id))
            vectors[photo_id, contract_id] = base64.b64encode(plain).decode()
    return vectors
