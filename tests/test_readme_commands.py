"""The README's commands run as they stand: on made-up people, the training cut short, against a real server."""

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
from service.drawn_faces import portrait
from services import running
from starlette.datastructures import Headers

from app.keys import Keys, read_keys
from model import bundle
from model.manifest import contract_id

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", README, flags=re.S) for line in block.splitlines()]
SHORT = "--epochs 1 --genuine-pairs 200 --impostor-pairs 200"


def run(command: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ended = subprocess.run(
        shlex.split(command), cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_train_measure_serve_and_ask(tmp_path: Path) -> None:
    makers.write_people(tmp_path / "DIR", people=21, pictures=2)
    for number in (1, 2):
        shutil.copy(tmp_path / f"DIR/p3/{number}.pgm", tmp_path / f"photo{number}.jpg")
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    trained, measured, served = (line for line in COMMANDS if "runs/mine" in line)
    asked = next(line for line in COMMANDS if line.startswith("curl"))
    assert "saved runs/mine" in run(f"{trained} {SHORT}", tmp_path)
    assert "9 people" not in run(measured, tmp_path)
    assert served == "FACEPAIR_BUNDLE=runs/mine make serve"
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    with running("facepair", tmp_path / "runs/mine") as (address, _):
        answer = json.loads(run(asked.replace("http://127.0.0.1:8000", address), tmp_path))
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
    calibrated, served = (line for line in COMMANDS if "runs/ours" in line)
    asked = next(line for line in COMMANDS if line.startswith("curl"))
    shown = run(calibrated, tmp_path)
    rows = {
        line.split(" | ")[0].strip("| "): line.split(" | ") for line in shown.splitlines() if line.startswith("| 0")
    }
    assert list(rows) == ["0.1", "0.01", "0.001", "0.0001"]
    assert "1740 impostor pairs; 3000 or more are needed" in rows["0.001"][1]
    assert "default level: 0.01;" in shown
    assert "false match among 30 people" in shown
    default, ours = (bundle.load(folder).manifest for folder in (bundle.SHIPPED / "default", tmp_path / "runs/ours"))
    assert contract_id(ours) == contract_id(default)
    assert served == "FACEPAIR_BUNDLE=runs/ours make serve"
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    with running("facepair", tmp_path / "runs/ours") as (address, _):
        answer = json.loads(run(asked.replace("http://127.0.0.1:8000", address), tmp_path))
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
    script = f"{sys.executable} {ROOT / 'scripts/calibrate.py'} --bundle default --data PEOPLE --gallery 500"
    shown = run(script, tmp_path)
    assert "Nobody here has two pictures: FNMRs are those of the 46751 genuine pairs of 'celeba'" in shown
    assert "false match among 500 people" in shown
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("target", ["serve", "test"])
def test_one_command_each_serves_and_tests(target: str) -> None:
    assert f"make {target}" in COMMANDS
    plan = run(f"make --dry-run --always-make {target} VENV=fresh", ROOT)
    assert "-m venv fresh" in plan
    assert "--constraint constraints.txt" in plan


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_key_is_made_and_known(tmp_path: Path) -> None:
    made = [line for line in COMMANDS if "key.txt" in line]
    subprocess.run(["bash", "-ec", "\n".join(made)], cwd=tmp_path, check=True)
    keys = Keys(read_keys(tmp_path / "keys"))
    shown = (tmp_path / "key.txt").read_bytes().strip()
    assert keys.caller(Headers(raw=[(b"x-api-key", shown)]), None) == "anna"
