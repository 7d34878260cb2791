"""Clients generated from the OpenAPI document work against a live service, with names that one would write by hand."""

import base64
import importlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import makers
import pytest
import recognising
from services import PATIENCE, running

pytestmark = pytest.mark.slow

DOCUMENT = makers.ROOT / "tests/openapi_gallery.json"  # that of a service with a gallery has all of the other as well
GENERATOR = Path(sys.executable).with_name("openapi-python-client")
TYPESCRIPT = makers.ROOT / "runs/clients/typescript"


@pytest.fixture(scope="module")
def address(bundle_folder: Path) -> Iterator[str]:
    with running("facepair", bundle_folder) as (address, _):
        yield address


@pytest.fixture(scope="module")
def client_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not GENERATOR.is_file():
        pytest.skip("openapi-python-client is not installed")
    folder = tmp_path_factory.mktemp("python")
    done = subprocess.run(
        [GENERATOR, "generate", "--path", DOCUMENT, "--meta", "none", "--output-path", folder / "facepair_client",
         "--fail-on-warning", "--config", makers.ROOT / "tests/clients/python.yml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Generated:
    """The modules of the generated package."""

    def __init__(self) -> None:
        self.root: Any = importlib.import_module("facepair_client")
        self.models: Any = importlib.import_module("facepair_client.models")
        self.types: Any = importlib.import_module("facepair_client.types")

    def call(self, operation: str, tag: str = "verification") -> Any:
        return importlib.import_module(f"facepair_client.api.{tag}.{operation}").sync


@pytest.fixture
def python(client_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Generated:
    monkeypatch.syspath_prepend(str(client_folder))
    return Generated()


def test_its_types_are_those_of_the_contract(python: Generated) -> None:
    for name in ("VerifyForm", "VerifyRequest", "Faces2", "EmbedForm", "EmbedRequest", "ComparisonRequest",
                 "Verification", "VerificationFaces", "FaceComparison", "Embedding", "Comparison", "Model", "Problem",
                 "Face", "FaceWarning", "OperatingPoint", "Status", "EnrolPhotosForm", "Enrolment", "Identification",
                 "IdentificationOutcome", "SearchLevel", "Receipt"):  # fmt: skip
        assert hasattr(python.models, name), name
    odd = [name for name in dir(python.models) if name.endswith(("Response200", "Body", "Type0", "Item"))]
    assert odd == []


def test_the_python_client_verifies_embeds_compares_and_reads_an_error(
    python: Generated, address: str, picture: bytes, stranger: bytes
) -> None:
    models = python.models

    def part(data: bytes) -> Any:
        return python.types.File(payload=io.BytesIO(data), file_name="photo.ppm")

    with python.root.Client(base_url=address, timeout=PATIENCE) as client:
        verify, embed, compare = (python.call(name) for name in ("verify", "embed", "compare"))
        uploaded = verify(client=client, body=models.VerifyForm(image1=part(picture), image2=part(stranger), fmr=0.1))
        assert uploaded.operating_point.fmr == 0.1
        assert uploaded.faces.image1.warnings == [models.FaceWarning.NO_DETECTOR]
        coded, other = (base64.b64encode(data).decode() for data in (picture, stranger))
        asked = models.VerifyRequest(image1=coded, image2=other, faces2=models.Faces2.ALL)
        verified = verify(client=client, body=asked)
        assert verified.distance == verified.comparisons[0].distance == uploaded.distance > 0
        one, two = (embed(client=client, body=models.EmbedRequest(image=image)) for image in (coded, other))
        body = models.ComparisonRequest(one.embedding, [one.embedding, two.embedding], one.model.contract_id)
        results = compare(client=client, body=body).results
        assert [result.distance for result in results] == [0, verified.distance]
        problem = embed(client=client, body=models.EmbedRequest(image=base64.b64encode(b"no picture").decode()))
        assert isinstance(problem, models.Problem)
        assert (problem.status, problem.code, problem.image) == (415, "unsupported_image_format", "image")
        assert python.call("get_model")(client=client).contract_id == one.model.contract_id
        assert python.call("get_readiness", "operations")(client=client).status == "ok"


@pytest.fixture
def gallery_address(tmp_path: Path) -> Iterator[str]:
    bundle, key = recognising.save_bundle(tmp_path / "recogniser"), tmp_path / "gallery.key"
    key.write_text("00" * 32)
    gallery = {"gallery": f"sqlite:///{tmp_path / 'gallery.db'}", "gallery_key_file": key, "fpir": 0.1}
    with running("facepair", bundle, **gallery) as (address, _):
        yield address


def test_the_python_client_enrols_identifies_and_erases(python: Generated, gallery_address: str) -> None:
    models = python.models

    def part(person: int, number: int) -> Any:
        return python.types.File(payload=io.BytesIO(recognising.picture(person, number)), file_name="photo.ppm")

    with python.root.Client(base_url=gallery_address, timeout=PATIENCE) as client:
        enrol, identify, erase = (python.call(name, "people") for name in ("enrol_photos", "identify", "erase_person"))
        enrolled = enrol("E1", client=client, body=models.EnrolPhotosForm(images=[part(0, 0)]))
        assert [photo.status for photo in enrolled.accepted] == [models.AcceptedPhotoStatus.ENROLLED]
        found = identify(client=client, body=models.IdentifyForm(image=part(0, 1)))
        assert (found.outcome, found.person_id) == (models.IdentificationOutcome.KNOWN, "E1")
        assert erase("E1", client=client).photos_erased == 1
        found = identify(client=client, body=models.IdentifyForm(image=part(0, 1)))
        assert (found.outcome, found.person_id) == (models.IdentificationOutcome.UNKNOWN, None)


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Runs a program of `typescript/`, compiled beside the generated types; gives what it printed."""
    if not ((TYPESCRIPT / "node_modules/.bin/openapi-typescript").exists() and shutil.which("node")):
        pytest.skip("node, or what `make clients` installs for it, is not there")
    folder = tmp_path_factory.mktemp("typescript") / "client"
    shutil.copytree(makers.ROOT / "tests/clients/typescript", folder)
    (folder / "node_modules").symlink_to(TYPESCRIPT / "node_modules")
    binaries = folder / "node_modules/.bin"
    run([binaries / "openapi-typescript", DOCUMENT, "-o", folder / "facepair.ts"], folder)
    options = ["--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom"]
    run([binaries / "tsc", *options, "verification.ts", "people.ts"], folder)

    def answer(program: str, address: str, *pictures: bytes) -> Any:
        coded = [base64.b64encode(picture).decode() for picture in pictures]
        return json.loads(run(["node", program, address, *coded], folder))

    return answer


def test_the_typescript_client_verifies_embeds_compares_and_reads_an_error(
    typescript: Callable[..., Any], address: str, picture: bytes, stranger: bytes
) -> None:
    answer = typescript("verification.js", address, picture, stranger)
    assert len(set(answer["distances"])) == 1
    assert answer["distances"][0] > 0
    assert answer["warning"] == "no_detector"
    assert (answer["code"], answer["image"]) == ("unsupported_image_format", "image")


def test_the_typescript_client_enrols_identifies_and_erases(
    typescript: Callable[..., Any], gallery_address: str
) -> None:
    answer = typescript("people.js", gallery_address, recognising.picture(0, 0), recognising.picture(0, 1))
    assert answer == {"statuses": ["enrolled"], "before": ["known", "E1"], "erased": 1, "after": ["unknown", None]}


def run(command: list[Any], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
