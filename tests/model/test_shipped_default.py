"""The bundle `default`, as it is shipped: on drawn faces, and on people that it never saw where they are at hand."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import makers
import numpy as np
import pytest
from service.drawn_faces import portrait
from service.faceless import faceless

from app.main import create_app
from app.settings import Settings
from model import bundle
from model.data.dataset import load
from model.data.people import PeopleFolder
from model.embedding.embedder import Embedder
from model.error_rates.scores import curve
from model.evaluation.scoring import score_all_pairs

DATA = makers.DATA
CELEBA = DATA / "celeba"
SUBSET = CELEBA.is_dir() and len(list(CELEBA.iterdir())) == 5049
"""Whether the CelebA there is the subset that chose the thresholds."""
pytestmark = pytest.mark.anyio


@pytest.fixture
async def default() -> AsyncIterator[httpx.AsyncClient]:
    service = create_app(Settings(threads=1))
    transport = httpx.ASGITransport(service)
    async with (
        service.router.lifespan_context(service),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client


def upload(one: bytes, two: bytes) -> dict[str, bytes]:
    return {"image1": one, "image2": two}


async def test_it_is_served_by_default_and_says_what_it_is(default: httpx.AsyncClient) -> None:
    answer = (await default.get("/model")).json()
    assert (answer["name"], answer["detector"], answer["dimension"]) == ("default", "yunet", 128)
    assert answer["default_fmr"] == 0.001
    assert answer["normalized"] is True


async def test_two_pictures_of_one_drawn_face(default: httpx.AsyncClient) -> None:
    one, two = (makers.encoded(portrait(2, picture), "JPEG", quality=90) for picture in (0, 1))
    answer = (await default.post("/verify", files=upload(one, two))).json()
    assert answer["same"] is True
    assert answer["operating_point"]["fmr"] == 0.001
    for face in answer["faces"].values():
        assert (face["count"], face["warnings"]) == (1, [])
        assert face["box"]["x"] < 160 < face["box"]["x"] + face["box"]["width"]
    assert (await default.post("/verify", files=upload(one, one))).json()["distance"] == 0


async def test_a_grey_picture_is_unlike_those_it_was_measured_on(default: httpx.AsyncClient) -> None:
    usual = portrait(2)
    grey = np.repeat(usual.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    for picture, warned in ((usual, False), (grey, True)):
        answer = (await default.post("/embed", files={"image": makers.encoded(picture)})).json()
        assert ("out_of_domain" in answer["face"]["warnings"]) is warned


@pytest.mark.parametrize("kind", range(5))
async def test_a_picture_without_a_face_is_refused_by_name(default: httpx.AsyncClient, kind: int) -> None:
    pictures = faceless(seed=3)
    blank = makers.encoded([next(pictures) for _ in range(5)][kind][1])
    good = makers.encoded(portrait(1))
    for one, two, named in ((good, blank, "image2"), (blank, good, "image1"), (blank, blank, "image1")):
        answer = await default.post("/verify", files=upload(one, two))
        assert (answer.status_code, answer.json()["code"], answer.json()["image"]) == (422, "no_face", named)
    assert (await default.post("/embed", files={"image": good})).status_code == 200


async def test_all_orientations_give_one_embedding(default: httpx.AsyncClient) -> None:
    upright = makers.encoded(portrait(4))
    for orientation in range(1, 9):
        turned = makers.turned(portrait(4), orientation)
        assert (await default.post("/verify", files=upload(upright, turned))).json()["distance"] == 0


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "att_faces").is_dir(), reason="the AT&T faces are not at hand")
def test_people_of_the_att_faces_whom_it_never_saw_are_told_apart() -> None:
    embedder = Embedder(bundle.load(bundle.SHIPPED / "default"))
    dataset = load(PeopleFolder(DATA / "att_faces"), embedder.faces)
    assert len(dataset.labels) == 400
    # One picture of the 400 gets a box that is no face: its nine genuine pairs alone are half a per cent.
    assert curve(score_all_pairs(embedder, dataset)).eer < 0.01


@pytest.mark.slow
@pytest.mark.skipif(not SUBSET, reason="the CelebA subset is not at hand")
async def test_held_out_people_are_answered_rightly(default: httpx.AsyncClient) -> None:
    manifest = bundle.load(bundle.SHIPPED / "default").manifest
    assert manifest.calibration is not None
    people = unseen_folders(manifest.training.seen | manifest.calibration.data.digests, count=100)
    right: dict[bool, list[bool]] = {True: [], False: []}
    for person, stranger in zip(people, np.roll(np.array(people, dtype=object), 1), strict=True):
        for other in (person, stranger):
            one, two = (sorted(folder.iterdir())[number].read_bytes() for folder, number in ((person, 0), (other, 1)))
            answer = (await default.post("/verify", files=upload(one, two))).json()
            right[other == person].append(answer.get("same") is (other == person))
    assert np.mean(right[True]) > 0.8
    assert np.mean(right[False]) > 0.95


@pytest.mark.slow
@pytest.mark.skipif(not SUBSET, reason="the CelebA subset is not at hand")
def test_the_people_that_it_records_are_found_in_the_data_each_in_one_part() -> None:
    manifest = bundle.load(bundle.SHIPPED / "default").manifest
    assert manifest.calibration is not None
    folder = PeopleFolder(CELEBA)
    trained, chose = (
        folder.known_to(digests) for digests in (manifest.training.seen, manifest.calibration.data.digests)
    )
    assert (len(trained), len(chose)) == (len(manifest.training.seen_people), len(manifest.calibration.data.people))
    assert not trained & chose


def unseen_folders(seen: frozenset[str], count: int) -> list[Path]:
    """Folders of people with two pictures or more of which no digest is among those seen."""
    found: list[Path] = []
    for folder in sorted(CELEBA.iterdir()):
        if len(list(folder.iterdir())) > 1 and seen.isdisjoint(makers.known_by(folder)):
            found.append(folder)
        if len(found) == count:
            break
    return found
