"""Stored embeddings are compared as pictures are; what cannot be compared is refused."""

import json
import tracemalloc
from typing import Any

import httpx
import makers
import msgspec
import numpy as np
import pytest
from fastapi import FastAPI
from loop_turns import counted_turns

from app.inference.comparison import InvalidEmbeddingError, compare
from app.schemas import MAX_OTHERS, Comparison
from model.decision import Policy
from model.manifest import contract_id

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}
MARK = "Zq7mark"  # sent, and never to be echoed


@pytest.fixture
def contract(service: FastAPI) -> str:
    return contract_id(service.state.verifier.manifest)


async def test_embeddings_are_compared_as_their_pictures_are(client: httpx.AsyncClient) -> None:
    pictures = [makers.encoded(makers.face(person), "PPM") for person in (1, 1, 2, 3)]
    embedded = [(await client.post("/embed", files={"image": picture})).json() for picture in pictures]
    one, *others = (answer["embedding"] for answer in embedded)
    asked = {"embedding": one, "others": others, "contract_id": embedded[0]["model"]["contract_id"], "fmr": 0.1}
    response = await client.post("/compare", json=asked)
    answer = response.json()
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    assert set(answer) == {"results", "threshold", "metric", "operating_point", "model", "request_id"}
    for result, picture in zip(answer["results"], pictures[1:], strict=True):
        files = {"image1": pictures[0], "image2": picture}
        verified = (await client.post("/verify", files=files, data={"fmr": "0.1"})).json()
        assert result == {name: verified[name] for name in ("same", "distance", "fmr_estimate")}
        assert (answer["threshold"], answer["operating_point"]) == (verified["threshold"], verified["operating_point"])
    assert answer["results"][0]["distance"] == 0


async def test_the_level_is_the_services_unless_the_caller_names_one(client: httpx.AsyncClient, contract: str) -> None:
    asked = {"embedding": [0] * 50, "others": [[0] * 50], "contract_id": contract}
    for fmr in ({}, {"fmr": None}):
        assert (await client.post("/compare", json=asked | fmr)).json()["operating_point"]["fmr"] == 0.01


ZEROS = [0.0] * 50
GOOD = {"embedding": ZEROS, "others": [ZEROS]}
BAD: dict[str, tuple[dict[str, Any] | str, int, str]] = {
    "another contract": (GOOD | {"contract_id": f"sha256:{MARK}"}, 409, "contract_mismatch"),
    "no contract": (GOOD | {"contract_id": None}, 422, "invalid_parameter"),
    "no others": (GOOD | {"others": []}, 422, "invalid_parameter"),
    "too many others": (GOOD | {"others": [ZEROS] * (MAX_OTHERS + 1)}, 422, "invalid_parameter"),
    "a short embedding": (GOOD | {"embedding": ZEROS[1:]}, 422, "invalid_parameter"),
    "a long other": (GOOD | {"others": [ZEROS, [*ZEROS, 0]]}, 422, "invalid_parameter"),
    "an empty other": (GOOD | {"others": [[]]}, 422, "invalid_parameter"),
    "beyond float32": (GOOD | {"embedding": [*ZEROS[1:], 1e300]}, 422, "invalid_parameter"),
    "a string": (GOOD | {"embedding": [*ZEROS[1:], MARK]}, 422, "invalid_parameter"),
    "a number as a string": (GOOD | {"embedding": [*ZEROS[1:], "1"]}, 422, "invalid_parameter"),
    "a boolean": (GOOD | {"embedding": [*ZEROS[1:], True]}, 422, "invalid_parameter"),
    "a list of lists": (GOOD | {"embedding": [ZEROS]}, 422, "invalid_parameter"),
    "an unknown member": (GOOD | {MARK: 1}, 422, "invalid_parameter"),
    "a level without data": (GOOD | {"fmr": 0.02}, 422, "level_not_supported"),
    "a level out of range": (GOOD | {"fmr": 1}, 422, "invalid_parameter"),
    "a doubled member": (json.dumps(GOOD)[:-1] + ', "fmr": 0.1, "fmr": 0.01}', 422, "invalid_parameter"),
    "a long contract": (GOOD | {"contract_id": "\N{GRINNING FACE}" * 2_000}, 422, "invalid_parameter"),
    "others beside rows": (GOOD | {"others": [ZEROS, 1]}, 422, "invalid_parameter"),
    "others within rows": (GOOD | {"others": [[ZEROS]]}, 422, "invalid_parameter"),
    "others as an object": (GOOD | {"others": {"0": ZEROS}}, 422, "invalid_parameter"),
    "a large body": (GOOD | {"contract_id": "x" * 2_000_000}, 413, "body_too_large"),
    "an escape": ('{"contract_id": "\\u0041"}', 422, "invalid_parameter"),
    "very many doubled members": ("{" + '"fmr": 1,' * 50_000 + "}", 422, "invalid_parameter"),
    "a list": ("[]", 400, "json_invalid"),
    "no JSON": (MARK, 400, "json_invalid"),
    "empty": ("", 400, "json_invalid"),
    "too many values": ('{"others": [' + "1," * 100_000, 422, "invalid_parameter"),
    "too many values in a list": ("[" + "1," * 100_000, 400, "json_invalid"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_request_gets_its_code_and_the_next_succeeds(
    client: httpx.AsyncClient, contract: str, name: str
) -> None:
    body, status, code = BAD[name]
    content = body if isinstance(body, str) else json.dumps({"contract_id": contract} | body)
    answer = await client.post("/compare", content=content, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert MARK not in answer.text
    assert (await client.post("/compare", json=GOOD | {"contract_id": contract})).status_code == 200


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
async def test_numbers_that_json_does_not_have_are_refused(
    client: httpx.AsyncClient, contract: str, number: str
) -> None:
    content = json.dumps(GOOD | {"contract_id": contract}).replace("0.0", number, 1)
    answer = await client.post("/compare", content=content, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "json_invalid")


async def test_another_content_type_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/compare", files={"embedding": b"x"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_as_many_as_may_be_are_compared(client: httpx.AsyncClient, contract: str) -> None:
    others = np.random.default_rng(5).normal(size=(MAX_OTHERS, 50)).astype(np.float32)
    asked = {"embedding": others[7].tolist(), "others": others.tolist(), "contract_id": contract}
    results = (await client.post("/compare", json=asked)).json()["results"]
    expected = [float(np.sqrt(((other - others[7]).astype(np.float64) ** 2).sum())) for other in others]
    np.testing.assert_allclose([result["distance"] for result in results], expected, atol=1e-6)
    assert [result["distance"] == 0 for result in results] == [i == 7 for i in range(MAX_OTHERS)]


async def test_a_body_may_be_written_for_people_to_read(client: httpx.AsyncClient, contract: str) -> None:
    row = np.random.default_rng(6).normal(size=50).tolist()
    asked = json.dumps({"embedding": row, "others": [row] * MAX_OTHERS, "contract_id": contract}, indent=2)
    answer = await client.post("/compare", content=asked, headers=JSON)
    assert [result["distance"] for result in answer.json()["results"]] == [0] * MAX_OTHERS
    Comparison.model_validate(answer.json())


async def test_others_are_served_while_embeddings_are_compared(client: httpx.AsyncClient, contract: str) -> None:
    """All at once it took everybody's time for 100 ms."""
    asked = GOOD | {"others": [ZEROS] * MAX_OTHERS, "contract_id": contract}
    async with counted_turns() as turns:
        assert (await client.post("/compare", json=GOOD | {"contract_id": contract})).status_code == 200
        of_one = turns.count
        assert (await client.post("/compare", json=asked)).status_code == 200
    assert turns.count - 2 * of_one > MAX_OTHERS / 100


def test_where_the_bundle_normalizes_embeddings_have_unit_length() -> None:
    manifest = msgspec.structs.replace(makers.make_bundle().manifest, normalized=True)
    unit = np.eye(50)
    space = contract_id(manifest)
    policy = Policy(manifest)
    halves = unit[1].astype(np.float16).tolist()
    assert compare(manifest, policy, unit[0].tolist(), [halves], space)[0].distance == pytest.approx(2**0.5, abs=1e-6)
    for wrong in (unit[1] * 1.01, unit[1] * 0.99, unit[1] * 0):
        with pytest.raises(InvalidEmbeddingError):
            compare(manifest, policy, unit[0].tolist(), [wrong.tolist()], space)


@pytest.mark.parametrize(
    "members",
    [
        {"others": [[""] * 50] * MAX_OTHERS},
        {"others": [[[]] * 50] * MAX_OTHERS},
        {"others": ["" for _ in range(MAX_OTHERS)]},
        {"embedding": [None] * 40_000},
        {f"k{number}": 1 for number in range(40_000)},
    ],
    ids=["strings", "lists", "rows", "nulls", "members"],
)
async def test_tens_of_thousands_of_faults_are_not_each_described(
    client: httpx.AsyncClient, members: dict[str, Any]
) -> None:
    """To describe each took a quarter of a second of everybody's time, for 150 kB; objects show it, not time."""
    body = json.dumps(GOOD | {"contract_id": MARK} | members).encode()
    await client.post("/compare", content=body, headers=JSON)
    tracemalloc.start()
    try:
        response = await client.post("/compare", content=body, headers=JSON)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (response.status_code, response.json()["code"]) == (422, "invalid_parameter")
    assert most < 3 * len(body) + 2**20
    assert (await client.post("/compare", json=GOOD)).status_code == 422  # and is served on
