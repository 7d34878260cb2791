"""The commands of README and docs run as they stand: on made-up people, training cut short, against a real server."""

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import makers
import pytest
import warm
from service.drawn_faces import portrait
from services import running
from starlette.datastructures import Headers

from app.keys import Keys, read_keys
from model import bundle
from model.manifest import contract_id

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [block for page in PAGES for block in re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), flags=re.S)]
COMMANDS: list[str] = list(dict.fromkeys(line for block in BLOCKS for line in block.splitlines()))


def starting(text: str) -> str:
    """The one command that starts so."""
    (command,) = (line for line in COMMANDS if line.startswith(text))
    return command


SERVE, TEST = starting("make serve"), starting("make test")
ASK = starting("curl -F image1=")
VERIFY, EMBED = starting(".venv/bin/facepair verify"), starting(".venv/bin/facepair embed")
TRAIN, MEASURE, SERVE_MINE = (line for line in COMMANDS if "runs/mine" in line)
CALIBRATE, SERVE_OURS = (line for line in COMMANDS if "runs/ours" in line)
TUNE = starting("python scripts/train.py finetune")
DRIFT = starting("curl -s http://127.0.0.1:8000/metrics")
LAY_OUT = starting("while read")
MAKE_KEY, NOTE_KEY = (line for line in COMMANDS if "key.txt" in line)
MAKE_GALLERY_KEY, SERVE_GALLERY = (line for line in COMMANDS if "gallery.key" in line)
ENROL, IDENTIFY, ERASE = starting("curl -F images="), starting("curl -F image="), starting("curl -X DELETE")
ENROL_FOLDER = starting("python scripts/gallery.py enrol")
HERE = "http://127.0.0.1:8000"
SHORT = "--epochs 1 --genuine-pairs 200 --impostor-pairs 200"


def run(command: str, folder: Path, status: int = 0) -> str:
    """What the command prints, or of what one that fails complains; it must end with this status."""
    program, *arguments = shlex.split(command)
    if program == "python":  # which need not load torch each time
        ended = warm.run([sys.executable, *arguments], cwd=folder)
    else:
        ended = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == status, ended.stdout + ended.stderr
    return ended.stderr if status else ended.stdout


@pytest.mark.slow
def test_train_measure_serve_and_ask(tmp_path: Path) -> None:
    makers.write_people(tmp_path / "DIR", people=21, pictures=2)
    for number in (1, 2):
        shutil.copy(tmp_path / f"DIR/p3/{number}.pgm", tmp_path / f"photo{number}.jpg")
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    assert "saved runs/mine" in run(f"{TRAIN} {SHORT}", tmp_path)
    assert "9 people" not in run(MEASURE, tmp_path)
    assert SERVE_MINE == "FACEPAIR_BUNDLE=runs/mine make serve"
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    with running("facepair", tmp_path / "runs/mine") as (address, _):
        answer = json.loads(run(ASK.replace(HERE, address), tmp_path))
    assert answer["model"]["name"] == "mine"
    assert answer["operating_point"]["people"] == 10


@pytest.mark.slow
def test_thirty_people_choose_the_thresholds_that_the_answers_carry(tmp_path: Path) -> None:
    for person, picture in itertools.product(range(30), range(2)):
        home = tmp_path / "PEOPLE" / f"p{person}"
        home.mkdir(parents=True, exist_ok=True)
        (home / f"{picture}.png").write_bytes(makers.encoded(portrait(person, picture)))
    for number in (1, 2):
        shutil.copy(tmp_path / f"PEOPLE/p7/{number - 1}.png", tmp_path / f"photo{number}.jpg")
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    shown = run(CALIBRATE, tmp_path)
    rows = {
        line.split(" | ")[0].strip("| "): line.split(" | ") for line in shown.splitlines() if line.startswith("| 0")
    }
    assert list(rows) == ["0.1", "0.01", "0.001", "0.0001"]
    assert "1740 impostor pairs; 3000 or more are needed" in rows["0.001"][1]
    assert "default level: 0.01;" in shown
    assert "false match among 30 people" in shown
    default, ours = (bundle.load(folder).manifest for folder in (bundle.SHIPPED / "default", tmp_path / "runs/ours"))
    assert contract_id(ours) == contract_id(default)
    assert SERVE_OURS == "FACEPAIR_BUNDLE=runs/ours make serve"
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    with running("facepair", tmp_path / "runs/ours") as (address, _):
        answer = json.loads(run(ASK.replace(HERE, address), tmp_path))
    point = answer["operating_point"]
    assert (point["fmr"], point["people"], point["genuine_pairs"]) == (0.01, 30, 30)
    assert f"{answer['threshold']:.6f}" == rows["0.01"][1]
    assert f"{point['fnmr']:.3g} " in rows["0.01"][3]
    assert answer["same"] is True


@pytest.mark.slow
def test_one_picture_a_person_lends_its_fnmr_from_the_bundle(tmp_path: Path) -> None:
    for person in range(10):
        home = tmp_path / "PEOPLE" / f"p{person}"
        home.mkdir(parents=True)
        (home / "only.png").write_bytes(makers.encoded(portrait(person)))
    script = f"python {ROOT / 'scripts/calibrate.py'} --bundle default --data PEOPLE --gallery 500"
    shown = run(script, tmp_path)
    assert "Nobody here has two pictures: FNMRs are those of the 46751 genuine pairs of 'celeba'" in shown
    assert "false match among 500 people" in shown
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("target", ["serve", "test"])
def test_one_command_each_serves_and_tests(target: str) -> None:
    assert {SERVE, TEST} == {"make serve", "make test"}
    plan = run(f"make --dry-run --always-make {target} VENV=fresh", ROOT)
    assert "-m venv fresh" in plan
    assert "--constraint constraints.txt" in plan


def test_make_looks_for_data_in_the_checkout_or_where_it_is_told() -> None:
    assert "--data data/att_faces" in run("make --dry-run train", ROOT)
    assert "--data /elsewhere/att_faces" in run("make --dry-run train DATA=/elsewhere", ROOT)
    ignored = subprocess.run(["git", "check-ignore", "data"], cwd=ROOT, check=False, capture_output=True)
    assert ignored.returncode == 0 or not (ROOT / ".git").exists()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_key_is_made_and_known(tmp_path: Path) -> None:
    subprocess.run(["bash", "-ec", f"{MAKE_KEY}\n{NOTE_KEY}"], cwd=tmp_path, check=True)
    keys = Keys(read_keys(tmp_path / "keys"))
    shown = (tmp_path / "key.txt").read_bytes().strip()
    assert keys.caller(Headers(raw=[(b"x-api-key", shown)]), None) == "anna"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with two photos of one drawn face, and the scripts."""
    for number in (1, 2):
        (tmp_path / f"photo{number}.jpg").write_bytes(makers.encoded(portrait(2, number - 1), "JPEG", quality=90))
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/facepair").symlink_to(Path(sys.executable).parent / "facepair")
    return tmp_path


@pytest.mark.slow
def test_a_terminal_asks(photos: Path) -> None:
    assert run(VERIFY, photos).startswith("same person: distance ")
    assert len(run(EMBED, photos).split()) == 128


@pytest.mark.slow
@pytest.mark.skipif(not all(map(shutil.which, ("curl", "openssl"))), reason="curl or openssl is not installed")
def test_people_are_enrolled_identified_and_erased(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    subprocess.run(["bash", "-ec", MAKE_GALLERY_KEY], check=True)
    *given, make, target = SERVE_GALLERY.split()
    assert (make, target) == ("make", "serve")
    settings = dict(setting.removeprefix("FACEPAIR_").lower().split("=") for setting in given)
    (home := photos / "PEOPLE/E5").mkdir(parents=True)
    for picture in range(2):
        (home / f"{picture}.png").write_bytes(makers.encoded(portrait(5, picture)))
    with running("facepair", bundle.SHIPPED / "default", **settings) as (address, _):
        assert json.loads(run(ENROL.replace(HERE, address), photos))["accepted"][0]["status"] == "enrolled"
        found = json.loads(run(IDENTIFY.replace(HERE, address), photos))
        assert (found["outcome"], found["person_id"]) == ("known", "E1042")
        assert json.loads(run(ERASE.replace(HERE, address), photos))["photos_erased"] == 1
        assert json.loads(run(IDENTIFY.replace(HERE, address), photos))["outcome"] == "unknown"
        assert "1 people: 2 enrolled" in run(f"{ENROL_FOLDER} --url {address}", photos)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        drift = ["bash", "-eco", "pipefail", DRIFT.replace(HERE, address)]
        ended = subprocess.run(drift, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True)
    assert "There is too little to say more." in ended.stdout


@pytest.mark.slow
def test_fine_tuning_says_that_these_people_are_too_few(photos: Path) -> None:
    for person, picture in itertools.product(range(3), range(2)):
        (home := photos / f"PEOPLE/p{person}").mkdir(parents=True, exist_ok=True)
        (home / f"{picture}.png").write_bytes(makers.encoded(portrait(person, picture)))
    (line,) = run(TUNE, photos, status=1).splitlines()
    assert line.startswith("error: ")
    assert "3 people" in line


def test_celeba_is_laid_out_by_person(tmp_path: Path) -> None:
    (tmp_path / "img_align_celeba").mkdir()
    for number in range(1, 4):
        (tmp_path / f"img_align_celeba/00000{number}.jpg").write_text(str(number))
    (tmp_path / "identity_CelebA.txt").write_text("000001.jpg 2880\n000002.jpg 17\n000003.jpg 2880\n")
    subprocess.run(["bash", "-ec", LAY_OUT], cwd=tmp_path, check=True)
    laid_out = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("data/celeba/*/*"))
    assert laid_out == [f"data/celeba/{name}.jpg" for name in ("17/000002", "2880/000001", "2880/000003")]


def test_no_command_is_left_out() -> None:
    tried = {
        *(SERVE, TEST, ASK, VERIFY, EMBED, TRAIN, MEASURE, SERVE_MINE, CALIBRATE, SERVE_OURS, TUNE, DRIFT, LAY_OUT),
        *(MAKE_KEY, NOTE_KEY, MAKE_GALLERY_KEY, SERVE_GALLERY, ENROL, IDENTIFY, ERASE, ENROL_FOLDER),
    }
    assert set(COMMANDS) == tried
