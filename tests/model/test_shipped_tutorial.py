"""The bundle `tutorial` on the data that its report was made from, where that data is at hand."""

import json

import httpx
import makers
import numpy as np
import pytest
from service.drawn_faces import portrait

from app.main import create_app
from app.settings import Settings
from model import bundle
from model.data.dataset import Dataset, load
from model.data.people import PeopleFolder
from model.domain import is_out_of_domain
from model.embedding.embedder import Embedder
from model.evaluation.evaluation import evaluate
from model.evaluation.scoring import score_all_pairs, untrained
from model.images import Rgb, decode

ATT_FACES = makers.DATA / "att_faces"
TUTORIAL = bundle.SHIPPED / "tutorial"

pytestmark = pytest.mark.skipif(not ATT_FACES.is_dir(), reason=f"the AT&T faces are not at {ATT_FACES}")


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder(bundle.load(TUTORIAL))


@pytest.fixture(scope="module")
def unseen(embedder: Embedder) -> Dataset:
    folder = PeopleFolder(ATT_FACES)
    return load(folder, embedder.faces, only=untrained([embedder.manifest], folder))


def test_the_report_is_measured_again(embedder: Embedder, unseen: Dataset) -> None:
    report = json.loads((TUTORIAL / "report.json").read_text())
    again = evaluate(embedder.manifest, unseen, score_all_pairs(embedder, unseen))
    assert again.data.sha256 == report["data"]["sha256"]
    assert (again.genuine_pairs, again.impostor_pairs) == (report["genuine_pairs"], report["impostor_pairs"])
    for name in ("auc", "eer", "best_accuracy"):
        figure = getattr(again, name)
        assert [figure.value, *figure.ci95] == pytest.approx([report[name]["value"], *report[name]["ci95"]], abs=0.002)


def test_a_colour_photo_is_not_what_its_thresholds_were_chosen_on(embedder: Embedder) -> None:
    calibration = embedder.manifest.calibration
    assert calibration is not None
    domain = calibration.domain
    assert domain is not None

    def warned(picture: Rgb) -> bool:
        face = embedder.faces.find(picture)
        return is_out_of_domain(domain, face.quality, embedder.embed([face.crop])[0])

    assert warned(portrait(1))
    alike = [decode(path.read_bytes()) for path in sorted(ATT_FACES.glob("s*/1.pgm"))]
    assert sum(map(warned, alike)) <= len(alike) / 4


@pytest.mark.anyio
async def test_most_answers_about_unseen_people_are_right_and_say_how_sure(unseen: Dataset) -> None:
    service = create_app(Settings(bundle="tutorial"))
    transport = httpx.ASGITransport(service)
    right: dict[bool, list[bool]] = {True: [], False: []}
    async with (
        service.router.lifespan_context(service),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as c,
    ):
        for first, second in zip(unseen.people, np.roll(unseen.people, 1), strict=True):
            for number in range(2, 11):
                for other in (first, second):
                    one = (ATT_FACES / first / "1.pgm").read_bytes()
                    two = (ATT_FACES / other / f"{number}.pgm").read_bytes()
                    answer = (await c.post("/verify", files={"image1": one, "image2": two})).json()
                    right[other == first].append(answer["same"] == (other == first))
                    assert answer["operating_point"]["people"] == len(unseen.people)
    assert np.mean(right[True]) > 0.5
    assert np.mean(right[False]) > 0.75
