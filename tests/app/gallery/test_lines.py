"""What an import takes: what the service itself would, and nothing that harms others."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from galleries import QUALITY, START, Galleries, put, vector

from app.gallery.lines import Space, read_line
from app.gallery.records import GalleryError, PersonNotFound, Profile
from app.gallery.transfer import export, put_line
from app.people_schemas import PersonSummary, Photo, ProfileRequest

OURS, OTHER = ("sha256:" + digit * 64 for digit in "12")
SPACE = Space(OURS, 8, normalized=True)


def packed(values: object) -> str:
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()


def photo_line(seed: int = 1, **changes: object) -> dict[str, Any]:
    return {
        "photo_id": f"ph_{seed:032x}",
        "contract_id": OURS,
        "enrolled_at": "2026-01-01T00:00:00.000+00:00",
        "quality": QUALITY,
        "warnings": ["blurred"],
        "vector": packed(vector(seed)),
    } | changes


def person_line(*photos: dict[str, Any], **changes: object) -> bytes:
    person: dict[str, Any] = {
        "person_id": "E1",
        "display_name": "Анна",
        "metadata": {"desk": 10**30},
        "consent_reference": None,
        "expires_at": None,
        "photos": photos,
    }
    return json.dumps(person | changes).encode()


def nested(depth: int) -> dict[str, Any]:
    return json.loads('{"a": ' * depth + "1" + "}" * depth)  # type: ignore[no-any-return]


def test_what_was_exported_comes_in(galleries: Galleries) -> None:
    gallery = galleries.open(contract_id=OURS)
    line = person_line(photo_line(1), photo_line(1, contract_id=OTHER, vector=packed([0.5, 3])), photo_line(2))
    put_line(gallery.register, read_line(line, SPACE), "operator")
    assert gallery.register.person("E1").profile == Profile("Анна", {"desk": 10**30})
    match = gallery.index.search(vector(2), 1).matches[0]
    assert (match.person_id, match.photo_id, match.distance, match.photos) == ("E1", f"ph_{2:032x}", 0, 2)
    [exported] = export(gallery.register)
    assert read_line(exported, SPACE).photos[0].vector == vector(1).tobytes()
    put_line(gallery.register, read_line(exported, SPACE), "operator")
    assert [exported] == list(export(gallery.register))


def test_what_a_request_may_say_a_line_may_say() -> None:
    texts = {"display_name": "é" * 200, "consent_reference": "x" * 200}
    for metadata in ({"x": "é" * 2043}, nested(199)):
        wish = {**texts, "metadata": metadata, "expires_at": "2026-03-01T13:00:00+01:00"}
        assert ProfileRequest.model_validate_json(json.dumps(wish)).metadata == metadata
        person = read_line(person_line(**wish, person_id="." * 63 + "x"), SPACE)
        assert (person.metadata, person.expires_at) == (metadata, START)
        told = {name: getattr(person, name) for name in ("person_id", "display_name", "metadata", "consent_reference")}
        PersonSummary(**told, created_at=START, updated_at=START, expires_at=None, damaged=False).model_dump_json()
    [photo] = read_line(person_line(photo_line(1)), SPACE).photos
    assert Photo.model_validate(photo).quality.size_px == QUALITY["size_px"]


WRONG: dict[str, bytes] = {
    "no JSON": b"nonsense",
    "no text": person_line().replace(b"E1", b"\xff"),
    "not all of it": b'{"person_id": "E1"}',
    "names of several lines": b'{"a\\nb\\u001b[31m' + b"x" * 1000 + b'": 1}',
    "deeper than can be read": b'{"metadata": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "id with a line's end": person_line(person_id="E1\n"),
    "id of a dot": person_line(person_id="."),
    "id of dots": person_line(person_id=".."),
    "id too long": person_line(person_id="x" * 65),
    "name too long": person_line(display_name="x" * 201),
    "consent too long": person_line(consent_reference="x" * 201),
    "much metadata": person_line(metadata={"x": "y" * 4090}),
    "very much metadata": person_line(metadata={"x": "y" * 3_000_000}),
    "deep metadata": person_line(metadata=nested(201)),
    "a number that is none": person_line(metadata={"x": 0}).replace(b'"x": 0', b'"x": 1e999'),
    "a time of no zone": person_line(expires_at="2030-01-01T00:00:00"),
    "a time after all": person_line(expires_at="9999-12-31T23:59:59-23:00"),
    "a time before all": person_line(expires_at="0001-01-01T00:00:00+23:00"),
    "a photo twice": person_line(photo_line(1), photo_line(2), photo_line(1)),
    "no quality": person_line(photo_line(quality={})),
    "strange quality": person_line(photo_line(quality=QUALITY | {"sharpness": 7})),
    "half a pixel": person_line(photo_line(quality=QUALITY | {"size_px": 1.5})),
    "photo's id with a line's end": person_line(photo_line(photo_id=f"ph_{1:032x}\n")),
    "contract of zeros": person_line(photo_line(contract_id="\0")),
    "a warning of a book": person_line(photo_line(warnings=["x" * 1000])),
    "many warnings": person_line(photo_line(warnings=["blurred"] * 1000)),
    "no vector": person_line(photo_line(vector="")),
    "another dimension": person_line(photo_line(vector=packed(vector(1, 4)))),
    "bytes of no vector": person_line(photo_line(vector="YWJj")),
    "another bundle's bytes of no vector": person_line(photo_line(vector="YWJj", contract_id=OTHER)),
    "another bundle's endless vector": person_line(photo_line(vector=packed([0.0] * 99_999), contract_id=OTHER)),
    "nan": person_line(photo_line(vector=packed([np.nan] * 8))),
    "one inf": person_line(photo_line(vector=packed([np.inf, *[0] * 7]))),
    "another bundle's nan": person_line(photo_line(vector=packed([np.nan] * 8), contract_id=OTHER)),
    "more than float32 holds": person_line(photo_line(vector=packed([1e30] * 8), contract_id=OTHER)),
    "long": person_line(photo_line(vector=packed(vector(1) * 1e6))),
    "zeros": person_line(photo_line(vector=packed([0] * 8))),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_refused_in_one_line(wrong: str) -> None:
    with pytest.raises(GalleryError) as refused:
        read_line(WRONG[wrong], SPACE)
    said = str(refused.value)
    assert said.isprintable()
    assert len(said) < 300


def test_whoever_expired_since_the_export_is_told_apart_and_nothing_is_changed(galleries: Galleries) -> None:
    gallery = galleries.open(contract_id=OURS)
    put(gallery, "E2", "here to stay")
    for person_id in ("E1", "E2"):
        line = person_line(photo_line(1), person_id=person_id, expires_at="2026-03-01T11:00:00Z")
        with pytest.raises(PersonNotFound):
            put_line(gallery.register, read_line(line, SPACE), "operator")
    [stayed] = gallery.register.people(9).people
    assert (stayed.profile, stayed.expires_at) == (Profile("here to stay"), None)
    assert gallery.index.counts().photos == 0
