"""A folder with data that is not there is one clear line from every script that needs one."""

from pathlib import Path

import makers
import pytest
from scripting import script

COMMANDS = [
    ["calibrate.py", "--bundle", "tutorial", "--data"],
    ["count_all_pairs.py", "--bundle", "tutorial", "--data"],
    ["evaluate.py", "--bundle", "tutorial", "--data"],
    ["reproduce.py", "--out", "OUT", "--data"],
    ["robustness.py", "--bundle", "tutorial", "--out", "OUT", "--data"],
    ["threshold_stability.py", "--bundle", "tutorial", "--data"],
    ["train.py", "tutorial", "--out", "OUT", "--data"],
    ["train.py", "transfer", "--init", "default", "--out", "OUT", "--data"],
    ["train.py", "finetune", "--init", "default", "--out", "OUT", "--data"],
    ["benchmark.py", "service", "--data"],
    ["benchmark.py", "stages", "--data"],
    ["benchmark.py", "training", "--data"],
    ["gallery.py", "enrol"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
@pytest.mark.parametrize("empty", [False, True])
def test_it_is_named_in_one_line(command: list[str], tmp_path: Path, *, empty: bool) -> None:
    missing = tmp_path / "missing"
    if empty:
        missing.mkdir()
    arguments = [str(tmp_path / "out") if part == "OUT" else part for part in command[1:]]
    printed = script(command[0], *arguments, missing, status=1)
    (line,) = printed.splitlines()
    assert line.startswith("error: ")
    assert str(missing) in line
    assert not (tmp_path / "out").exists()


def test_a_list_of_pairs_names_the_folder_too(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("1\np1\t1\t2\np1\t1\tp2\t1\n")
    printed = script("evaluate.py", "--bundle", "tutorial", "--data", tmp_path / "gone", "--pairs", pairs, status=1)
    assert printed == f"error: no folder {tmp_path / 'gone'}\n"
    printed = script("evaluate.py", "--bundle", "tutorial", "--data", tmp_path, "--pairs", tmp_path / "no", status=1)
    assert printed.count("\n") == 1
    assert str(tmp_path / "no") in printed


def test_every_script_that_takes_a_folder_of_people_is_here() -> None:
    scripts = {path.name for path in (makers.ROOT / "scripts").glob("*.py") if '"--data"' in path.read_text()}
    assert scripts <= {command[0] for command in COMMANDS}
