"""People over HTTP: enrolled, verified, identified, erased; and what is refused."""

import asyncio
import base64
import hashlib
import json
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import makers
import numpy as np
import pytest
import recognising
from recognising import picture
from services import PATIENCE

from app.gallery import postgres, sqlite
from app.gallery.lines import Space, read_line
from app.gallery.records import GalleryError
from app.gallery.register import Register
from app.gallery.transfer import put_line
from app.gallery_setup import open_from
from app.main import create_app
from app.settings import Settings
from model import bundle
from model.manifest import contract_id

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="session")
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recognising.save_bundle(tmp_path_factory.mktemp("bundles") / "recogniser")


@asynccontextmanager
async def serving(settings: Settings, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    service = create_app(settings)
    transport = httpx.ASGITransport(service, raise_app_exceptions=False)
    async with (
        service.router.lifespan_context(service),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client,
    ):
        yield client


@pytest.fixture
async def people(recogniser: Path, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(recognising.settings(recogniser, tmp_path)) as client:
        yield client


async def enrol(client: httpx.AsyncClient, person_id: str, *pictures: bytes, **fields: str) -> httpx.Response:
    files = [("images", ("x", data)) for data in pictures]
    return await client.post(f"/people/{person_id}/photos", files=files, data={"gate": "warn", **fields})


async def identify(client: httpx.AsyncClient, data: bytes, **fields: str) -> dict[str, Any]:
    response = await client.post("/identify", files={"image": ("x", data)}, data=fields)
    assert response.status_code == 200, response.text
    assert ", search;dur=" in response.headers["Server-Timing"]
    answer: dict[str, Any] = response.json()
    return answer


def problem(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["Content-Type"] == "application/problem+json"
    return response.status_code, response.json()["code"]


def with_a_gallery(where: Path) -> dict[str, Any]:
    """The document of the service with the bundle `default`."""
    (where / "gallery.key").write_text("00" * 32)
    service = create_app(Settings(gallery=f"sqlite:///{where / 'gallery.db'}", gallery_key_file=where / "gallery.key"))
    service.state.gallery.close()
    return service.openapi()


def test_the_contract_with_a_gallery_changes_only_on_purpose(tmp_path: Path) -> None:
    snapshot = json.loads((makers.ROOT / "tests/openapi_gallery.json").read_text())
    assert with_a_gallery(tmp_path) == snapshot, "changed on purpose? then: make openapi"


def test_a_gallery_only_adds_to_the_contract(tmp_path: Path) -> None:
    without = json.loads((makers.ROOT / "tests/openapi.json").read_text())
    document = with_a_gallery(tmp_path)
    added = document["paths"].keys() - without["paths"].keys()
    assert added == {
        "/people", "/people/{person_id}", "/people/{person_id}/photos", "/people/{person_id}/photos/{photo_id}",
        "/people/{person_id}/verify", "/identify", "/gallery", "/gallery/export",
    }  # fmt: skip
    assert {path: document["paths"][path] for path in without["paths"]} == without["paths"]
    for path in added:
        for operation in document["paths"][path].values():
            assert operation["tags"] == ["people"]
            assert {"403", "503"} <= operation["responses"].keys() or path == "/gallery"
            for status, answer in operation["responses"].items():
                if not status.startswith("2") and status != "422":
                    assert list(answer["content"]) == ["application/problem+json"]


async def test_without_a_gallery_there_are_no_people(client: httpx.AsyncClient) -> None:
    for method, path in (
        ("GET", "/people"),
        ("PUT", "/people/E1"),
        ("POST", "/identify"),
        ("GET", "/gallery"),
        ("GET", "/gallery/export"),
    ):
        assert problem(await client.request(method, path)) == (404, "not_found")


async def test_enrolled_once_a_person_is_known_and_once_erased_unknown(people: httpx.AsyncClient) -> None:
    assert (await identify(people, picture(1)))["outcome"] == "unknown"
    for person in range(6):
        enrolled = await enrol(people, f"E{person}", picture(person))
        assert enrolled.status_code == 201, enrolled.text
    answer = enrolled.json()
    assert answer["accepted"][0]["status"] == "enrolled"
    assert (answer["rejected"], answer["gallery"]["people"], answer["gallery"]["photos"]) == ([], 6, 6)

    found = await identify(people, picture(3, 1), limit="5")
    assert set(found) == {
        "outcome", "person_id", "distance", "margin", "candidates", "operating_point", "face", "gallery", "model",
        "request_id",
    }  # fmt: skip
    assert (found["outcome"], found["person_id"]) == ("known", "E3")
    assert [each["person_id"] for each in found["candidates"]] == ["E3"]
    assert found["candidates"][0]["distance"] == found["distance"] <= found["operating_point"]["threshold"]
    assert found["margin"] >= found["operating_point"]["margin"]
    assert (found["operating_point"]["fpir"], found["operating_point"]["photos"]) == (0.1, 6)
    assert found["gallery"] == {"people": 6, "photos": 6, "revision": 6}

    receipt = (await people.delete("/people/E3")).json()
    assert (receipt["person_id"], receipt["photos_erased"], receipt["audit_id"]) == ("E3", 1, 7)
    gone = await identify(people, picture(3, 1))
    assert (gone["outcome"], gone["person_id"], gone["candidates"]) == ("unknown", None, [])
    assert problem(await people.delete("/people/E3")) == (404, "person_not_found")
    assert problem(await people.get("/people/E3")) == (404, "person_not_found")


async def test_a_stranger_is_unknown_and_two_alike_are_ambiguous(people: httpx.AsyncClient) -> None:
    await enrol(people, "E1", picture(1))
    assert (await identify(people, picture(9)))["outcome"] == "unknown"
    assert problem(await enrol(people, "twin", picture(1, 1))) == (422, "enrolment_rejected")
    allowed = await enrol(people, "twin", picture(1, 1), allow_lookalike="true")
    assert allowed.json()["accepted"][0]["warnings"][-1] == "resembles_other_person"
    between = (await identify(people, picture(1))) | {"request_id": ""}
    # The same photo lies at 0, its twin a little farther: nearer to it than the margin or not.
    apart = between["margin"] >= between["operating_point"]["margin"]
    assert between["outcome"] == ("known" if apart else "ambiguous")
    assert len(between["candidates"]) == (1 if apart else 2)


async def test_the_same_photo_again_is_already_enrolled(people: httpx.AsyncClient) -> None:
    first = (await enrol(people, "E1", picture(1), picture(1, 1), picture(1))).json()
    assert [photo["status"] for photo in first["accepted"]] == ["enrolled", "enrolled", "already_enrolled"]
    again = (await enrol(people, "E1", picture(1, 1), picture(1, 2))).json()
    assert [photo["status"] for photo in again["accepted"]] == ["already_enrolled", "enrolled"]
    assert again["accepted"][0]["photo_id"] == first["accepted"][1]["photo_id"]
    assert again["gallery"]["photos"] == 3
    other = (await enrol(people, "E2", picture(2))).json()
    assert other["accepted"][0]["photo_id"] not in {photo["photo_id"] for photo in first["accepted"]}


async def test_the_same_photo_is_already_enrolled_in_a_gallery_that_imported_it(
    people: httpx.AsyncClient, recogniser: Path, tmp_path: Path
) -> None:
    first = (await enrol(people, "E1", picture(1), picture(1, 1))).json()
    [line] = (await people.get("/gallery/export")).content.splitlines()
    (tmp_path / "other").mkdir()
    settings = recognising.settings(recogniser, tmp_path / "other")
    manifest = bundle.load(recogniser).manifest
    gallery = open_from(settings, manifest)
    assert gallery is not None
    space = Space(contract_id(manifest), manifest.embedding_size, manifest.normalized)
    put_line(gallery.register, read_line(line, space), "operator")
    gallery.close()
    async with serving(settings) as other:
        person = (await other.get("/people/E1")).json()
        again = (await enrol(other, "E1", picture(1), picture(1, 1), picture(1, 2))).json()
    assert [photo["status"] for photo in again["accepted"]] == ["already_enrolled", "already_enrolled", "enrolled"]
    assert [photo["photo_id"] for photo in again["accepted"][:2]] == [photo["photo_id"] for photo in first["accepted"]]
    assert person["photos"] == (await people.get("/people/E1")).json()["photos"]  # as and when they were enrolled


async def test_a_person_is_listed_with_photos_and_never_a_vector(people: httpx.AsyncClient) -> None:
    made = await people.put("/people/E1", json={"display_name": "Анна", "metadata": {"a": [1]}})
    assert (made.status_code, made.json()["photos"], made.json()["damaged"]) == (201, [], False)
    await enrol(people, "E1", picture(1))
    person = await people.get("/people/E1")
    assert person.headers["Cache-Control"] == "no-store"
    answer = person.json()
    assert (answer["display_name"], answer["metadata"], answer["consent_reference"]) == ("Анна", {"a": [1]}, None)
    assert set(answer["photos"][0]) == {"photo_id", "enrolled_at", "contract_id", "quality", "warnings"}
    assert set(answer["photos"][0]["quality"]) == {"size_px", "sharpness", "brightness"}
    photo_id = answer["photos"][0]["photo_id"]
    assert (await people.delete(f"/people/E1/photos/{photo_id}")).json()["photos_erased"] == 1
    assert problem(await people.delete(f"/people/E1/photos/{photo_id}")) == (404, "photo_not_found")
    assert problem(await people.delete(f"/people/E2/photos/{photo_id}")) == (404, "person_not_found")


async def test_a_change_asks_for_what_was_seen(people: httpx.AsyncClient) -> None:
    assert problem(await people.put("/people/E1", json={}, headers={"If-Match": "*"})) == (412, "precondition_failed")
    tag = (await people.put("/people/E1", json={"display_name": "A"})).headers["ETag"]
    again = await people.put("/people/E1", json={"display_name": "A"}, headers={"If-Match": tag})
    assert (again.status_code, again.headers["ETag"]) == (200, tag)
    changed = await people.put("/people/E1", json={"display_name": "B"}, headers={"If-Match": tag})
    assert changed.headers["ETag"] != tag
    for stale in (tag, "nonsense", 'W/"1"'):
        answer = await people.request("DELETE", "/people/E1", headers={"If-Match": stale})
        assert problem(answer) == (412, "precondition_failed")
    assert (await people.get("/people/E1")).json()["display_name"] == "B"


NOBODYS = ({"prefix": "\0"}, {"cursor": "RTEA"})  # the latter is E1 and a zero byte


async def test_people_come_in_pages(people: httpx.AsyncClient) -> None:
    for number in range(5):
        await people.put(f"/people/E{number}", json={})
    await people.put("/people/F", json={})
    first = (await people.get("/people", params={"limit": 3, "prefix": "E"})).json()
    rest = (await people.get("/people", params={"limit": 3, "prefix": "E", "cursor": first["next_cursor"]})).json()
    assert [p["person_id"] for p in first["people"] + rest["people"]] == [f"E{number}" for number in range(5)]
    assert rest["next_cursor"] is None
    for wrong in ({"limit": 0}, {"limit": 201}, {"cursor": "ä"}, {"cursor": "x"}, {"limit": "many"}, *NOBODYS):
        assert problem(await people.get("/people", params=wrong)) == (422, "invalid_parameter")


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"display_name": "x" * 201},
        {"metadata": []},
        {"metadata": {"x": "y" * 4096}},
        {"expires_at": "2026-01-01T00:00:00"},
        {"expires_at": "soon"},
        {"expires_at": "9999-12-31T23:59:59-23:59"},
    ],
)
async def test_a_profile_that_makes_no_sense_is_refused(people: httpx.AsyncClient, body: object) -> None:
    answer = await people.put("/people/E1", json=body)
    assert problem(answer) == (422, "invalid_parameter")
    assert "xx" not in answer.text
    assert (await people.get("/people")).json()["people"] == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ('{"metadata": {"a": "' + "\\u0001" * 20_000 + '"}}', 413, "body_too_large"),
        ('{"metadata": {"a": "' + "\N{GRINNING FACE}" * 2_000 + '"}}', 422, "invalid_parameter"),
        ('{"display_name": "A", "display_name": "B"}', 422, "invalid_parameter"),
        ("[]", 400, "json_invalid"),
        ("", 400, "json_invalid"),
        ('{"metadata": {"a": NaN}}', 400, "json_invalid"),
    ],
)
async def test_a_body_that_is_no_profile_is_refused(
    people: httpx.AsyncClient, body: str, status: int, code: str
) -> None:
    answer = await people.put("/people/E1", content=body, headers={"Content-Type": "application/json"})
    assert problem(answer) == (status, code)


async def test_as_much_as_may_be_said_of_a_person_may_be_escaped(people: httpx.AsyncClient) -> None:
    said = {"display_name": "\N{GRINNING FACE}" * 200, "consent_reference": "я" * 200, "metadata": {"a": "x,y" * 1360}}
    body = json.dumps(said).replace("x", "\\u0078").replace("y", "\\u0079")
    answer = await people.put("/people/E1", content=body, headers={"Content-Type": "application/json"})
    assert {name: answer.json()[name] for name in said} == said


async def test_no_more_of_a_profile_is_read_than_it_may_have(people: httpx.AsyncClient) -> None:
    read = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        yield b'{"display_name": "'
        for _ in range(300):
            read += 1
            yield b"x" * 2**16

    answer = await people.put("/people/E1", content=pieces(), headers={"Content-Type": "application/json"})
    assert problem(answer) == (413, "body_too_large")
    assert read < 10


async def test_an_id_is_of_few_letters(people: httpx.AsyncClient) -> None:
    for wrong in ("a b", "é", "x" * 65, "a%2Fb", "x%0A", "%2E", "%2E%2E", "..."):
        answer = await people.put(f"/people/{wrong}", json={})
        assert problem(answer) in [(422, "invalid_parameter"), (404, "not_found")]
    assert (await people.put(f"/people/{'x' * 64}", json={})).status_code == 201
    assert (await people.put(f"/people/{'.' * 63}x", json={})).status_code == 201
    assert problem(await enrol(people, "...", picture(1))) == (422, "invalid_parameter")


async def test_whoever_expires_is_gone(people: httpx.AsyncClient) -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    await people.put("/people/E1", json={"expires_at": until.isoformat()})
    assert (await people.get("/people/E1")).status_code == 200
    past = datetime.now(UTC) - timedelta(seconds=1)
    answer = await people.put("/people/E1", json={"expires_at": past.isoformat()})
    assert problem(answer) == (422, "invalid_parameter")
    await enrol(people, "E2", picture(2))
    for seconds in (1, 10, 60):  # a busy machine may take the first of them to say it
        soon = datetime.now(UTC) + timedelta(seconds=seconds)
        answer = await people.put("/people/E2", json={"expires_at": soon.isoformat()})
        if answer.status_code == 200:
            break
    assert answer.status_code == 200
    while (await people.get("/people/E2")).status_code == 200:
        await asyncio.sleep(0.05)
    assert problem(await people.get("/people/E2")) == (404, "person_not_found")
    assert (await identify(people, picture(2)))["outcome"] == "unknown"


async def test_a_photo_of_somebody_else_is_not_taken_for_the_person(people: httpx.AsyncClient) -> None:
    await enrol(people, "E1", picture(1))
    other = await enrol(people, "E1", picture(2), gate="strict")
    assert problem(other) == (422, "enrolment_rejected")
    assert other.json()["rejected"][0]["code"] == "differs_from_person"
    taken = await enrol(people, "E2", picture(1, 1))
    assert problem(taken) == (422, "enrolment_rejected")
    [rejected] = taken.json()["rejected"]
    assert (rejected["code"], rejected["person_id"]) == ("resembles_other_person", "E1")
    assert problem(await people.get("/people/E2")) == (404, "person_not_found")


async def test_good_photos_are_enrolled_beside_bad_ones(people: httpx.AsyncClient) -> None:
    answer = (await enrol(people, "E1", b"no picture", picture(1), picture(1)[:200])).json()
    assert [photo["status"] for photo in answer["accepted"]] == ["enrolled"]
    assert [(photo["index"], photo["code"]) for photo in answer["rejected"]] == [
        (0, "unsupported_image_format"),
        (2, "image_corrupt"),
    ]
    assert all(photo["detail"].endswith(".") for photo in answer["rejected"])


async def test_what_is_sent_wrongly_is_refused(people: httpx.AsyncClient) -> None:
    assert problem(await enrol(people, "E1")) == (415, "unsupported_media_type")
    assert problem(await enrol(people, "E1", b"")) == (422, "missing_part")
    assert problem(await enrol(people, "E1", picture(1), gate="lax")) == (422, "invalid_parameter")
    assert problem(await enrol(people, "E1", picture(1), allow_lookalike="1")) == (422, "invalid_parameter")
    assert problem(await enrol(people, "E1", *[picture(1, n) for n in range(11)])) == (422, "invalid_parameter")
    assert len((await enrol(people, "E1", *[picture(1, n) for n in range(10)])).json()["accepted"]) == 10
    for fields in ({"limit": "0"}, {"limit": "11"}, {"fpir": "0"}, {"fpir": "nan"}, {"other": "1"}):
        answer = await people.post("/identify", files={"image": ("x", picture(1))}, data=fields)
        assert problem(answer) == (422, "invalid_parameter")
    answer = await people.post("/identify", files={"image": ("x", picture(1))}, data={"fpir": "0.0001"})
    assert problem(answer) == (422, "level_not_supported")
    answer = await people.post("/identify", files={"image": ("x", b"x")})
    assert (problem(answer), answer.json()["image"]) == ((415, "unsupported_image_format"), "image")
    assert (await identify(people, picture(1)))["outcome"] == "known"


async def test_the_limits_of_people_and_photos_hold(recogniser: Path, tmp_path: Path) -> None:
    settings = recognising.settings(recogniser, tmp_path, max_people=1, max_photos=2)
    async with serving(settings) as people:
        answer = (await enrol(people, "E1", picture(1), picture(1, 1), picture(1, 2))).json()
        assert len(answer["accepted"]) == 2
        assert [(photo["index"], photo["code"]) for photo in answer["rejected"]] == [(2, "too_many_photos")]
        assert problem(await enrol(people, "E2", picture(2))) == (409, "gallery_full")
        assert problem(await people.put("/people/E2", json={})) == (409, "gallery_full")


async def test_verify_against_a_person_judges_the_nearest_photo(people: httpx.AsyncClient) -> None:
    photos = (await enrol(people, "E1", picture(1), picture(1, 1), picture(1, 2))).json()["accepted"]
    verified = await people.post("/people/E1/verify", files={"image": ("x", picture(1, 2))})
    answer = verified.json()
    assert (answer["same"], answer["distance"], answer["photo_id"], answer["photos"]) == (
        True, 0.0, photos[2]["photo_id"], 3,
    )  # fmt: skip
    alone = await people.post("/verify", files={"image1": picture(1), "image2": picture(1, 2)})
    assert answer["threshold"] < alone.json()["threshold"]
    assert answer["operating_point"]["fmr"] == alone.json()["operating_point"]["fmr"] == 0.01
    stranger = await people.post("/people/E1/verify", files={"image": ("x", picture(5))})
    assert stranger.json()["same"] is False
    assert stranger.json()["same"] == (stranger.json()["distance"] <= stranger.json()["threshold"])
    await people.put("/people/E2", json={})
    nobody = await people.post("/people/E2/verify", files={"image": ("x", picture(1))})
    assert problem(nobody) == (404, "photo_not_found")
    nobody = await people.post("/people/E3/verify", files={"image": ("x", picture(1))})
    assert problem(nobody) == (404, "person_not_found")


async def test_one_photo_is_judged_as_verify_judges_it(people: httpx.AsyncClient) -> None:
    await enrol(people, "E1", picture(1))
    for probe in (picture(1, 1), picture(2)):
        person = (await people.post("/people/E1/verify", files={"image": ("x", probe)})).json()
        pair = (await people.post("/verify", files={"image1": picture(1), "image2": probe})).json()
        for name in ("same", "distance", "threshold", "operating_point", "fmr_estimate"):
            assert person[name] == pair[name]


async def test_the_gallery_tells_of_itself(people: httpx.AsyncClient) -> None:
    empty = (await people.get("/gallery")).json()
    assert (empty["people"], empty["self_test"]["searches"], empty["self_test"]["fpir"]) == (0, 0, None)
    for person in range(5):
        await enrol(people, f"E{person}", picture(person))
    await enrol(people, "twin", picture(1, 1), allow_lookalike="true")
    answer = (await people.get("/gallery")).json()
    assert (answer["people"], answer["photos"], answer["revision"], answer["stale_photos"]) == (6, 6, 6, 0)
    assert [level["fpir"] for level in answer["operating_points"] if level["operating_point"]] == [0.1, 0.03]
    thresholds = [level["operating_point"]["threshold"] for level in answer["operating_points"][:2]]
    assert thresholds[1] < thresholds[0]
    test = answer["self_test"]
    assert test["searches"] == 6
    assert test["fpir"] == pytest.approx(2 / 6)
    assert test["fpir_ci95"][0] < 2 / 6 < test["fpir_ci95"][1]
    assert [(pair["person_id"], pair["other_person_id"]) for pair in test["lookalikes"]] == [("E1", "twin")]


async def test_the_threshold_follows_the_gallery(people: httpx.AsyncClient) -> None:
    thresholds = []
    for person in range(8):
        await enrol(people, f"E{person}", picture(person), allow_lookalike="true")
        thresholds.append((await identify(people, picture(20)))["operating_point"]["threshold"])
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[-1] < thresholds[0]


async def test_another_bundle_asks_for_the_photos_again(recogniser: Path, tmp_path: Path) -> None:
    async with serving(recognising.settings(recogniser, tmp_path)) as people:
        await enrol(people, "E1", picture(1))
    other = tmp_path / "other"
    made = makers.make_bundle("other", seed=5)
    bundle.save(other, made)
    async with serving(recognising.settings(other, tmp_path)) as people:
        answer = await people.post("/identify", files={"image": ("x", picture(1))})
        assert problem(answer) == (409, "contract_mismatch")
        state = (await people.get("/gallery")).json()
        assert (state["photos"], state["stale_photos"], state["self_test"]) == (0, 1, None)
        enrolled = (await enrol(people, "E1", picture(1))).json()
        assert enrolled["accepted"][0]["status"] == "enrolled"
        assert (await identify(people, picture(1)))["outcome"] == "known"


async def test_keys_are_for_what_their_line_says(recogniser: Path, tmp_path: Path) -> None:
    scopes = {"plain": "", "finder": "identify", "clerk": "verify,enrol", "copier": "export"}
    lines = [f"{hashlib.sha256(name.encode()).hexdigest()} {name} {scope}" for name, scope in scopes.items()]
    (tmp_path / "keys").write_text("\n".join(lines))
    settings = recognising.settings(recogniser, tmp_path, api_keys_file=tmp_path / "keys")
    asked: dict[str, tuple[str, str, dict[str, Any]]] = {
        "verify": ("POST", "/verify", {"files": {"image1": picture(1), "image2": picture(1)}}),
        "embed": ("POST", "/embed", {"files": {"image": picture(1)}}),
        "person": ("POST", "/people/E1/verify", {"files": {"image": picture(1)}}),
        "identify": ("POST", "/identify", {"files": {"image": picture(1)}}),
        "gallery": ("GET", "/gallery", {}),
        "put": ("PUT", "/people/E1", {"json": {}}),
        "list": ("GET", "/people", {}),
        "get": ("GET", "/people/E1", {}),
        "photos": ("POST", "/people/E1/photos", {"files": {"images": picture(1)}}),
        "erase_photo": ("DELETE", "/people/E1/photos/ph_x", {}),
        "erase": ("DELETE", "/people/E1", {}),
        "export": ("GET", "/gallery/export", {}),
        "model": ("GET", "/model", {}),
    }
    allowed = {
        "plain": {"verify", "embed", "person"},
        "finder": {"identify", "gallery"},
        "clerk": {"verify", "embed", "person", "put", "list", "get", "photos", "erase", "erase_photo"},
        "copier": {"export"},
    }
    async with serving(settings) as people:
        for name in scopes:
            for what, (method, path, sent) in asked.items():
                answer = await people.request(method, path, headers={"X-API-Key": name}, **sent)
                refused = answer.status_code == 403
                assert refused == (what not in allowed[name] | {"model"}), (name, what, answer.text)
                assert not refused or problem(answer) == (403, "forbidden")
        assert problem(await people.get("/people")) == (401, "unauthorized")


async def test_an_export_holds_everybody(people: httpx.AsyncClient) -> None:
    await people.put("/people/E1", json={"display_name": "A", "metadata": {"x": 1}})
    await enrol(people, "E1", picture(1), picture(1, 1))
    await enrol(people, "E2", picture(2))
    answer = await people.get("/gallery/export")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["person_id"] for line in lines] == ["E1", "E2"]
    assert (lines[0]["display_name"], len(lines[0]["photos"])) == ("A", 2)
    embedded = (await people.post("/embed", files={"image": ("x", picture(2))})).json()["embedding"]
    vector = np.frombuffer(base64.b64decode(lines[1]["photos"][0]["vector"]), "<f4")
    np.testing.assert_allclose(vector, embedded, atol=1e-6)


async def test_while_the_database_is_gone_only_people_are_not_served(recogniser: Path, tmp_path: Path) -> None:
    settings = recognising.settings(recogniser, tmp_path)
    async with serving(settings) as people:
        await enrol(people, "E1", picture(1))
        (tmp_path / "gallery.db").rename(tmp_path / "away.db")
        calls: list[tuple[str, str, dict[str, Any]]] = [
            ("POST", "/identify", {"files": {"image": picture(1)}}),
            ("POST", "/people/E1/photos", {"files": {"images": picture(1, 1)}}),
            ("PUT", "/people/E1", {"json": {}}),
            ("DELETE", "/people/E1", {}),
            ("GET", "/people/E1", {}),
            ("GET", "/gallery", {}),
            ("GET", "/gallery/export", {}),
        ]
        for method, path, sent in calls:
            answer = await people.request(method, path, **sent)
            assert problem(answer) == (503, "gallery_unavailable")
            assert answer.headers["Retry-After"] == "5"
        verified = await people.post("/verify", files={"image1": picture(1), "image2": picture(1)})
        assert verified.status_code == 200
        assert (await people.get("/readyz")).status_code == 200
        (tmp_path / "away.db").rename(tmp_path / "gallery.db")
        assert (await identify(people, picture(1)))["person_id"] == "E1"
        assert (await people.delete("/people/E1")).status_code == 200


async def test_what_is_refused_was_not_done_and_what_was_done_has_its_receipt(
    recogniser: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 60.0)
    async with serving(recognising.settings(recogniser, tmp_path, request_timeout=2)) as people:
        paths = [f"/people/E{number}" for number in range(4)]
        for path in paths:
            await people.put(path, json={})
        other = sqlite3.connect(tmp_path / "gallery.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        erasures = [asyncio.create_task(people.delete(path)) for path in paths]
        await asyncio.wait(erasures, timeout=3)
        assert [erasure.done() for erasure in erasures].count(False) == 1
        other.execute("COMMIT")
        answers = await asyncio.gather(*erasures)
        assert sorted(answer.status_code for answer in answers) == [200, 503, 503, 503]
        for path, answer in zip(paths, answers, strict=True):
            if answer.status_code == 200:
                assert answer.json()["audit_id"] == 5
            else:
                assert problem(answer) == (503, "deadline_exceeded")
            assert (await people.get(path)).status_code == (404 if answer.status_code == 200 else 200)
        other.close()


async def test_to_read_people_is_work(recogniser: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, listed = threading.Event(), Register.people
    monkeypatch.setattr(Register, "people", lambda *given: go_on.wait(PATIENCE) and listed(*given))
    limits = {"max_in_flight": 2, "requests_per_minute": 4}
    async with serving(recognising.settings(recogniser, tmp_path, **limits)) as people:
        lists = [asyncio.create_task(people.get("/people")) for _ in range(3)]
        [refused], _ = await asyncio.wait(lists, return_when=asyncio.FIRST_COMPLETED)
        assert problem(refused.result()) == (503, "overloaded")
        assert (await people.get("/livez")).status_code == 200
        go_on.set()
        assert sorted(answer.status_code for answer in await asyncio.gather(*lists)) == [200, 200, 503]
        for path in ("/gallery", "/people/E1", "/gallery/export"):
            answer = await people.get(path)
        assert problem(answer) == (429, "rate_limited")
        assert (await people.get("/model")).status_code == 200


async def test_a_damaged_photo_is_named_and_the_rest_is_served(recogniser: Path, tmp_path: Path) -> None:
    settings = recognising.settings(recogniser, tmp_path)
    async with serving(settings) as people:
        await enrol(people, "E1", picture(1))
        damaged = (await enrol(people, "E2", picture(2))).json()["accepted"][0]["photo_id"]
        assert (await people.get("/readyz")).json() == {"status": "ok"}
    database = sqlite.Sqlite(tmp_path / "gallery.db")
    database.write(lambda connection: connection.execute("UPDATE photos SET vector = x'00' WHERE person_id = 'E2'"))
    database.close()
    async with serving(settings) as people:
        assert (await people.get("/gallery")).json()["damaged_photos"] == [{"person_id": "E2", "photo_id": damaged}]
        assert (await people.get("/readyz")).json() == {"status": "damaged_photos"}
        assert (await identify(people, picture(1)))["outcome"] == "known"
        assert (await identify(people, picture(2)))["outcome"] == "unknown"
        await people.delete("/people/E2")
        assert (await people.get("/gallery")).json()["damaged_photos"] == []
        assert (await people.get("/readyz")).json() == {"status": "ok"}


def test_a_gallery_without_a_usable_key_stops_the_start(recogniser: Path, tmp_path: Path) -> None:
    settings = recognising.settings(recogniser, tmp_path)
    for key, message in (
        (None, "FACEPAIR_GALLERY_KEY_FILE; make one with: openssl rand -hex 32"),
        (tmp_path / "none", "cannot be read; make one with"),
    ):
        with pytest.raises(GalleryError, match=message):
            create_app(settings.model_copy(update={"gallery_key_file": key}))
    (tmp_path / "short").write_text("00")
    with pytest.raises(GalleryError, match="is not 32 bytes in hex"):
        create_app(settings.model_copy(update={"gallery_key_file": tmp_path / "short"}))
    create_app(settings).state.gallery.close()
    (tmp_path / "gallery.key").write_text("11" * 32)
    with pytest.raises(GalleryError, match="does not hold the key that this gallery was made with") as caught:
        create_app(settings)
    assert "\n" not in str(caught.value)
    with pytest.raises(GalleryError, match="neither sqlite"):
        create_app(settings.model_copy(update={"gallery": "mysql://x"}))


def test_a_database_that_is_not_there_stops_the_start(
    recogniser: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recognising.settings(recogniser, tmp_path)
    with pytest.raises(GalleryError, match="cannot be opened"):
        create_app(settings.model_copy(update={"gallery": f"sqlite:///{tmp_path}/no/such.db"}))
    monkeypatch.setattr(postgres, "_START_SECONDS", 0.5)
    with pytest.raises(GalleryError, match="cannot be reached"):
        create_app(settings.model_copy(update={"gallery": f"postgresql://x@/x?host={tmp_path}"}))
