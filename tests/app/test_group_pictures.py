"""One photo against a group picture: every face is compared, at a threshold for so many."""

import base64
from collections.abc import AsyncIterator

import httpx
import makers
import numpy as np
import pytest
from service.drawn_faces import portrait

from app.inference.verifier import MOST_FACES
from app.main import create_app
from app.settings import Settings
from model import bundle
from model.decision import Policy

pytestmark = pytest.mark.anyio


@pytest.fixture
async def finding_client() -> AsyncIterator[httpx.AsyncClient]:
    """The bundle `default`, since it finds faces."""
    service = create_app(Settings(bundle="default", threads=1))
    async with (
        service.router.lifespan_context(service),
        httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url="http://localhost") as client,
    ):
        yield client


def side_by_side(*people: int) -> bytes:
    return makers.encoded(np.concatenate([np.asarray(portrait(person)) for person in people], axis=1), "PNG")


async def test_each_face_is_compared_at_a_threshold_for_so_many(finding_client: httpx.AsyncClient) -> None:
    one, group = side_by_side(5), side_by_side(2, 5, 3)
    response = await finding_client.post("/verify", files={"image1": one, "image2": group}, data={"faces2": "all"})
    answer = response.json()
    assert response.status_code == 200, answer
    comparisons = answer["comparisons"]
    assert len(comparisons) == 3
    policy = Policy(bundle.load(bundle.SHIPPED / "default").manifest)
    assert answer["threshold"] == policy.operating_point(0.001, 3).threshold < policy.operating_point(0.001).threshold
    for comparison in comparisons:
        assert comparison["same"] == (comparison["distance"] <= answer["threshold"])
        assert comparison["face"]["count"] == 3
        assert "several_faces" not in comparison["face"]["warnings"]
    closest = min(comparisons, key=lambda comparison: comparison["distance"])
    middle = np.asarray(portrait(5)).shape[1]
    assert middle <= closest["face"]["box"]["x"] < 2 * middle
    assert (answer["same"], answer["distance"], answer["faces"]["image2"]) == (
        True,
        closest["distance"],
        closest["face"],
    )
    sizes = [comparison["face"]["box"]["width"] * comparison["face"]["box"]["height"] for comparison in comparisons]
    assert sizes == sorted(sizes, reverse=True)


async def test_the_largest_is_the_default_and_answers_as_ever(client: httpx.AsyncClient, picture: bytes) -> None:
    files = {"image1": picture, "image2": picture}
    plain, largest, every = [
        (await client.post("/verify", files=files, data=data)).json()
        for data in ({}, {"faces2": "largest"}, {"faces2": "all"})
    ]
    assert plain.keys() == largest.keys() == every.keys() - {"comparisons"}
    assert every["threshold"] == plain["threshold"]
    (comparison,) = every["comparisons"]
    assert comparison == {"same": True, "distance": 0, "face": plain["faces"]["image2"]}


async def test_json_asks_for_it_as_well(client: httpx.AsyncClient, picture: bytes) -> None:
    coded = base64.b64encode(picture).decode()
    answer = await client.post("/verify", json={"image1": coded, "image2": coded, "faces2": "all"})
    assert len(answer.json()["comparisons"]) == 1


@pytest.mark.parametrize("faces2", ["", "ALL", "2", "smallest"])
async def test_any_other_word_is_refused(client: httpx.AsyncClient, picture: bytes, faces2: str) -> None:
    answer = await client.post("/verify", files={"image1": picture, "image2": picture}, data={"faces2": faces2})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert (await client.post("/verify", files={"image1": picture, "image2": picture})).status_code == 200


async def test_a_level_that_so_many_faces_make_too_fine_is_refused(finding_client: httpx.AsyncClient) -> None:
    files = {"image1": side_by_side(5), "image2": side_by_side(2, 5, 3, 6)}
    answer = await finding_client.post("/verify", files=files, data={"faces2": "all", "fmr": "0.000001"})
    assert (answer.status_code, answer.json()["code"]) == (422, "level_not_supported")


def test_a_level_for_the_most_faces_is_within_the_shipped_data() -> None:
    policy = Policy(bundle.load(bundle.SHIPPED / "default").manifest)
    assert policy.operating_point(policy.default_fmr, MOST_FACES).threshold > 0
