"""Pictures in base64 are judged as uploads are; what is wrong gets its code, no echo, and the next request succeeds."""

import base64
import json
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import makers
import numpy as np
import pytest
from loop_turns import counted_turns
from starlette.requests import Request

from app import json_bodies
from app.in_pieces import InPieces
from app.settings import Settings
from app.uploads import Form

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}
MARK = "Zq7mark"  # sent, and never to be echoed


def coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


ONE, TWO = (coded(makers.encoded(makers.face(person), "PPM")) for person in (1, 2))


@pytest.fixture(scope="module")
def settings(bundle_folder: Path) -> Settings:
    return Settings(bundle=str(bundle_folder), max_file_bytes=20_000, max_body_bytes=80_000)


@pytest.mark.parametrize("fmr", [None, 0.1])
async def test_json_is_answered_as_an_upload(
    client: httpx.AsyncClient, picture: bytes, stranger: bytes, fmr: float | None
) -> None:
    level = {} if fmr is None else {"fmr": fmr}
    uploaded = await client.post("/verify", files={"image1": picture, "image2": stranger}, data=level)
    asked = {"image1": coded(picture), "image2": coded(stranger), "fmr": fmr}
    assert unlike_ids(await client.post("/verify", json=asked)) == unlike_ids(uploaded)
    embedded = await client.post("/embed", files={"image": picture})
    assert unlike_ids(await client.post("/embed", json={"image": coded(picture)})) == unlike_ids(embedded)


def unlike_ids(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    return {name: value for name, value in response.json().items() if name != "request_id"}


async def test_slashes_may_be_escaped_and_a_charset_named(client: httpx.AsyncClient) -> None:
    picture = np.full((40, 40), 255, np.uint8)  # in base64: many slashes
    escaped = json.dumps({"image": coded(makers.encoded(picture, "PPM"))}).replace("/", "\\/")
    assert escaped.count("\\/") > 500
    answer = await client.post("/embed", content=escaped, headers={"content-type": "application/json; charset=utf-8"})
    assert answer.status_code == 200


async def test_the_name_of_a_long_picture_may_be_escaped(client: httpx.AsyncClient) -> None:
    long = makers.encoded(np.full((100, 100), 255, np.uint8), "PPM")
    answer = await client.post("/embed", content=f'{{"im\\u0061ge": "{coded(long)}"}}', headers=JSON)
    assert answer.status_code == 200


BAD: dict[str, tuple[str | dict[str, Any], int, str, str | None]] = {
    "empty": ("", 400, "json_invalid", None),
    "no JSON": (MARK, 400, "json_invalid", None),
    "cut off": ('{"image1": "' + MARK, 400, "json_invalid", None),
    "no object": (f'"{MARK}"', 400, "json_invalid", None),
    "no name before a long string": ('{"\\": "' + 5_000 * "A" + '"}', 400, "json_invalid", None),
    "spaces": (70_000 * " " + "{}", 400, "json_invalid", None),
    "deeply nested": ('{"image1": ' + "[" * 30_000, 400, "json_invalid", None),
    "no UTF-8 for a name": ('{"\udcff": 1}', 400, "json_invalid", None),
    "a list": (f'["{MARK}"]', 400, "json_invalid", None),
    "no members": ("{}", 422, "missing_part", "image1"),
    "one image": ({"image1": ONE}, 422, "missing_part", "image2"),
    "empty image": ({"image1": ONE, "image2": ""}, 422, "missing_part", "image2"),
    "null": ({"image1": ONE, "image2": None}, 422, "invalid_parameter", "image2"),
    "a number": ({"image1": ONE, "image2": 1}, 422, "invalid_parameter", "image2"),
    "a list of images": ({"image1": ONE, "image2": [TWO]}, 422, "invalid_parameter", "image2"),
    "no base64": ({"image1": ONE, "image2": MARK + "!"}, 422, "invalid_parameter", "image2"),
    "base64 of URLs": ({"image1": ONE, "image2": "_-_-"}, 422, "invalid_parameter", "image2"),
    "lines of base64": ({"image1": ONE, "image2": TWO[:76] + "\n" + TWO[76:]}, 422, "invalid_parameter", "image2"),
    "a data URL": ({"image1": ONE, "image2": "data:image/png;base64;" + TWO}, 422, "invalid_parameter", "image2"),
    "a URL": ({"image1": ONE, "image2": f"http://127.0.0.1/{MARK}"}, 422, "invalid_parameter", "image2"),
    "a path": ({"image1": ONE, "image2": "/etc/passwd"}, 422, "invalid_parameter", "image2"),
    "unknown member": ({"image1": ONE, "image2": TWO, MARK: 1}, 422, "invalid_parameter", None),
    "another route's member": ({"image1": ONE, "image2": TWO, "image": TWO}, 422, "invalid_parameter", None),
    "doubled image": (
        f'{{"image1": "{ONE}", "image2": "{TWO}", "image1": "{ONE}"}}', 422, "invalid_parameter", None,
    ),
    "many members": ("{" + ",".join(f'"{i}":1' for i in range(9_000)) + "}", 422, "invalid_parameter", None),
    **{
        f"fmr={fmr}": ({"image1": ONE, "image2": TWO, "fmr": fmr}, 422, "invalid_parameter", None)
        for fmr in (0, 1, -0.1, "0.1", MARK, True, [0.1])
    },
    "fmr=1e999": (f'{{"image1": "{ONE}", "image2": "{TWO}", "fmr": 1e999}}', 422, "invalid_parameter", None),
    "level without data": ({"image1": ONE, "image2": TWO, "fmr": 0.02}, 422, "level_not_supported", None),
    "no picture": ({"image1": ONE, "image2": coded(MARK.encode())}, 415, "unsupported_image_format", "image2"),
    "large file": ({"image1": ONE, "image2": coded(bytes(20_001))}, 413, "file_too_large", "image2"),
    "large body": ({"image1": ONE, "image2": coded(bytes(60_000))}, 413, "body_too_large", None),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_body_gets_its_code_and_the_next_succeeds(client: httpx.AsyncClient, name: str) -> None:
    body, status, code, image = BAD[name]
    content = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else json.dumps(body)
    answer = await client.post("/verify", content=content, headers=JSON)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem.get("image")) == (status, code, image)
    assert answer.headers["content-type"] == "application/problem+json"
    assert MARK not in answer.text
    assert (await client.post("/verify", json={"image1": ONE, "image2": TWO})).status_code == 200


async def test_a_long_member_beside_the_pictures_is_refused(client: httpx.AsyncClient) -> None:
    for member in ('"faces2": "' + 5_000 * "a" + '"', '"fmr": 0.' + 5_000 * "1"):
        body = f'{{"image1": "{ONE}", "image2": "{TWO}", {member}}}'
        answer = await client.post("/verify", content=body, headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    for member in ('"faces2": ' + 70_000 * " " + '"all"', '"fmr": ' + 70_000 * "[", '"fmr": 0.' + 70_000 * "1"):
        answer = await client.post("/verify", content=f"{{{member}}}", headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")


async def test_a_file_of_just_the_limit_is_taken(client: httpx.AsyncClient) -> None:
    header = b"P5 100 100 255\n"
    answer = await client.post("/embed", json={"image": coded(header + bytes(20_000 - len(header)))})
    assert answer.status_code == 200


async def test_no_more_is_held_than_the_body_and_what_it_decodes_to() -> None:
    picture = bytes(6 * 2**20)
    body = json.dumps({"image1": coded(picture), "image2": coded(picture)}).encode()
    tracemalloc.start()
    form = await read(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert form.files == {"image1": picture, "image2": picture}
    assert peak < 1.2 * len(body) + 2 * len(picture)


async def test_others_are_served_while_a_picture_is_read() -> None:
    """One of 21 MB took everybody's time for 150 ms, and twice that where all of it was escaped."""
    text = coded(bytes(6 * 2**20))
    async with counted_turns() as turns:
        await read(f'{{"image1": "{text}", "image2": "{text}"}}'.encode())
    assert turns.count > 2 * len(text) / 2**18


async def read(body: bytes) -> Form:
    starts = iter(range(0, len(body), 2**16))

    async def receive() -> dict[str, Any]:
        start = next(starts)
        more = start + 2**16 < len(body)
        return {"type": "http.request", "body": body[start : start + 2**16], "more_body": more}

    request = Request({"type": "http", "headers": []}, receive)
    return await json_bodies.read_form(request, ["image1", "image2"], {}, 2**24, InPieces(), "")


async def test_a_body_that_comes_in_pieces_is_read_whole(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        body = json.dumps({"image": ONE}).encode()
        for start in range(0, len(body), 999):
            yield body[start : start + 999]

    assert (await client.post("/embed", content=pieces(), headers=JSON)).status_code == 200
