"""The README's commands run as they stand: on made-up people, the training cut short, against a real server."""

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
from test_main import running

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


@pytest.mark.parametrize("target", ["serve", "test"])
def test_one_command_each_serves_and_tests(target: str) -> None:
    assert f"make {target}" in COMMANDS
    plan = run(f"make --dry-run --always-make {target} VENV=fresh", ROOT)
    assert "-m venv fresh" in plan
    assert "--constraint constraints.txt" in plan
