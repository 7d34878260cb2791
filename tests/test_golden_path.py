"""Train a little -> measure -> serve -> verify, through the scripts and a real server, as a user would."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import evaluate
import httpx
import makers
import pytest
import torch
import warm
from scripting import process, script
from service.drawn_faces import portrait
from services import PATIENCE, files, running

from model import bundle
from model.decision import Policy
from model.manifest import BundleError, contract_id
from model.training import tutorial
from model.training.tutorial import TutorialRecipe

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.xdist_group("golden path")  # one bundle for all of them
SMALL = [
    "--genuine-pairs", "400", "--impostor-pairs", "400", "--epochs", "8", "--calibration-people", "9",
]  # fmt: skip
FEWER = ["--genuine-pairs", "50", "--impostor-pairs", "50"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = makers.write_people(tmp_path_factory.mktemp("data") / "people", people=21, pictures=4)
    (folder / "p3" / "9.pgm").write_bytes(b"P5 broken")
    return folder


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "golden"
    log = process("train.py", "tutorial", "--data", data, "--out", out, *SMALL)
    assert "epoch 8/8: loss 0." in log
    assert "9.pgm: CorruptImage" in log
    assert "21 people, 84 pictures, 1 skipped" in log
    return out


@pytest.mark.slow
def test_from_pictures_to_an_answer(data: Path, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("person,group\nP1,typo\np1,some\n", encoding="utf-8-sig")
    arguments = ["--out", trained, "--groups", tmp_path / "groups.csv"]
    log = script("evaluate.py", "--bundle", trained, "--data", data, *arguments)
    assert "groups.csv: nobody is called P1\n" in log
    assert "9 of these 9 people also chose the thresholds: too few others to measure on alone" in log
    report = json.loads((trained / "report.json").read_text())
    assert (report["genuine_pairs"], report["impostor_pairs"]) == (9 * 6, 36 * 16)
    assert report["seen_people_left_out"] == 12
    assert report["people_that_chose_thresholds"] == 9
    assert report["skipped_pictures"] == 1
    assert 0.5 < report["auc"]["value"] <= 1
    assert report["auc"]["ci95"][0] <= report["auc"]["value"] <= report["auc"]["ci95"][1]
    assert "9 of the 9 people also chose the thresholds" in log
    assert (trained / "report.md").read_text().strip() in log
    for plot in ("det.png", "roc.png", "distances.png"):
        assert (trained / plot).read_bytes().startswith(b"\x89PNG")
    counted = script("count_all_pairs.py", "--bundle", trained, "--data", data)
    assert "576 impostor and 54 genuine pairs" in counted
    for rate in report["rates"]:
        fmr, fnmr = rate["fmr"]["value"], rate["fnmr"]["value"]
        assert re.search(rf"\| {rate['threshold']:.6f} \| {fmr:.4g} \(.* \| {fnmr:.4g} \(", counted)
    point = Policy(bundle.load(trained).manifest).operating_point()
    with running("facepair", trained) as (address, _):
        answer = httpx.post(
            f"{address}/verify", files=files((data / "p1" / "1.pgm").read_bytes()), timeout=PATIENCE
        ).json()
    assert answer["same"] is True
    assert answer["threshold"] == point.threshold
    assert answer["operating_point"]["fnmr"] == point.fnmr
    assert answer["operating_point"]["impostor_pairs"] == 36 * 16


@pytest.mark.slow
def test_a_killed_run_is_resumed_to_the_same_bundle(data: Path, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "golden"
    arguments = ["tutorial", "--data", str(data), "--out", str(out), *SMALL]
    killed = warm.Popen([sys.executable, str(ROOT / "scripts/train.py"), *arguments], stdout=subprocess.DEVNULL)
    checkpoint = tmp_path / "golden.checkpoint"
    while not checkpoint.exists() and killed.poll() is None:
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not out.exists()
    assert "resuming from" in process("train.py", *arguments, "--resume")
    assert (out / bundle.WEIGHTS).read_bytes() == (trained / bundle.WEIGHTS).read_bytes()
    assert not checkpoint.exists()
    assert "exists already" in script("train.py", *arguments, status=1)


@pytest.mark.slow
@pytest.mark.parametrize("room", [100_000, 1_000_000], ids=["at the checkpoint", "at the bundle"])
def test_a_full_disk_is_one_line_and_leaves_no_half_of_anything(data: Path, tmp_path: Path, room: int) -> None:
    arguments = [str(ROOT / "scripts/train.py"), "tutorial", "--data", str(data)]
    arguments += ["--out", str(tmp_path / "b"), *SMALL, *FEWER, "--epochs", "1", "--resume"]
    full = "import resource, runpy, sys; sys.argv = sys.argv[1:]; sys.path.insert(0, 'scripts')\n"
    full += (
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room})); runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    ended = warm.run([sys.executable, "-c", full, *arguments], cwd=ROOT)
    assert (ended.returncode, len(ended.stderr.strip().splitlines())) == (1, 1), ended.stderr
    assert "File too large" in ended.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"b.checkpoint"}
    assert "saved" in script(*("train.py", *arguments[1:]))


@pytest.mark.slow
def test_folds_measure_people_never_seen(data: Path, tmp_path: Path) -> None:
    log = script("train.py", "tutorial", "--data", data, "--folds", 2, *SMALL[:6])
    assert "fold 2/2, people never seen: people 10" in log
    assert "mean of the folds: people 21" in log
    assert "--folds saves no bundle" in script(
        "train.py", "tutorial", "--data", data, "--folds", 2, "--out", tmp_path / "no", status=1
    )


@pytest.mark.parametrize("recipe", ["transfer", "finetune"])
def test_what_a_recipe_would_ignore_is_refused_before_any_work(recipe: str, tmp_path: Path) -> None:
    arguments = [recipe, "--init", "default", "--data", tmp_path / "people", "--out", tmp_path]
    assert "unrecognized arguments: --folds" in script("train.py", *arguments, "--folds", 2, status=2)
    assert "unrecognized arguments: --epochs" in script("train.py", *arguments, "--epochs", 2, status=2)
    assert f"{tmp_path} exists already" in script("train.py", *arguments, status=1)


@pytest.mark.slow
def test_both_protocols_are_reproduced_and_resumed(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tutorial, "TutorialRecipe", partial(TutorialRecipe, genuine_pairs=400, impostor_pairs=400))
    arguments = ["--data", data, "--out", tmp_path / "r.json", "--seeds", 1, "--folds", 2, "--epochs", 1]
    table = script("reproduce.py", *arguments)
    assert "| ROC AUC | " in table
    results = json.loads((tmp_path / "r.json").read_text())
    assert [(row["protocol"], row["seed"]) for row in results] == [("tutorial", 0), ("disjoint", 0)]
    results[0]["auc"] = 0.123
    (tmp_path / "r.json").write_text(json.dumps(results))
    assert "| ROC AUC | 0.1230" in script("reproduce.py", *arguments)


def test_a_run_without_calibration_people_is_measured_but_not_served(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "b"
    log = script("train.py", "tutorial", "--data", data, "--out", out, *SMALL[:4], "--epochs", 1)
    assert "it can be measured, not served" in log
    with pytest.raises(BundleError, match="never calibrated"):
        Policy(bundle.load(out).manifest)
    assert "in training, nobody to compare" in script("evaluate.py", "--bundle", out, "--data", data, status=1)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--pairs", "l.txt", "--against", "tutorial"], "without --against"),
        (["--pairs", "l.txt", "--groups", "g.csv"], "without --groups"),
        (["--pairs", "l.txt", "--append", "a.md"], "without --append"),
        (["--choose-on", "l.txt"], "--pairs, which is not given"),
    ],
)
def test_options_that_a_measurement_would_ignore_are_refused(
    arguments: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        evaluate.parse(["--bundle", "default", "--data", "people", *arguments])
    assert fault in capsys.readouterr().err


def test_a_list_is_measured_and_says_whom_the_bundle_knows(data: Path, bundle_folder: Path, tmp_path: Path) -> None:
    for person, number in itertools.product(("p1", "p2"), (1, 2)):
        (tmp_path / "people" / person).mkdir(parents=True, exist_ok=True)
        picture = (data / person / f"{number}.pgm").read_bytes()
        (tmp_path / "people" / person / f"{person}_{number:04d}.pgm").write_bytes(picture)
    pairs = tmp_path / "list.txt"
    pairs.write_text("2\np1 1 2\np2 1 2\np1 1 p2 1\np1 2 p2 2\n")
    arguments = ["--bundle", bundle_folder, "--data", tmp_path / "people", "--pairs", pairs, "--out", tmp_path / "out"]
    assert "2 people: 0 of them were in training" in script("evaluate.py", *arguments)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["data"]["pictures"] == 4
    pairs.write_text("1\np1 1 2\np1 1 p2 3\n")
    assert "error: " in (log := script("evaluate.py", *arguments, status=1))
    assert "1 of 3 pictures that the list names are not there, the first of them p2/p2_0003" in log


def test_searches_are_measured_in_galleries(bundle_folder: Path, tmp_path: Path) -> None:
    for person, picture in itertools.product(range(32), range(4)):
        home = tmp_path / "people" / f"p{person}"
        home.mkdir(parents=True, exist_ok=True)
        (home / f"{picture}.ppm").write_bytes(makers.encoded(makers.face(500 + person, picture), "PPM"))
    out = tmp_path / "out"
    arguments = ["--bundle", bundle_folder, "--data", tmp_path / "people", "--out", out, "--identify"]
    told = script("evaluate.py", *arguments)
    assert "32 people, 128 pictures, none of whom chose a threshold." in told
    assert (out / "identification.md").read_text() in told
    record = json.loads((out / "identification.json").read_text())
    assert [(gallery["people"], gallery["photos"]) for gallery in record["galleries"]] == [(31, 1), (31, 3)]
    assert record["data"]["people"] == 32
    assert (out / "identification.png").stat().st_size > 10_000
    for other in (["--pairs", "x"], ["--append", "x"], ["--against", "x"], ["--groups", "x"]):
        with pytest.raises(SystemExit):
            evaluate.parse(["--bundle", "default", "--data", "people", "--identify", *other])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("train.py", ["tutorial", "--data", "/nothing"]),
        ("evaluate.py", ["--bundle", "nothing", "--data", "/nothing"]),
        ("reproduce.py", ["--data", "/nothing", "--out", "/nothing/x"]),
    ],
)
def test_a_fault_of_the_input_is_one_line(name: str, arguments: list[str]) -> None:
    assert script(name, *arguments, status=1).startswith("error: no ")


@pytest.mark.parametrize(
    ("option", "given", "fault"),
    [
        ("--append", "nothing.md", "No such file"),
        ("--out", "file", "file is not a folder"),
        ("--out", "file/report", "file is not a folder"),
    ],
)
def test_a_report_that_cannot_be_written_is_told_before_any_work(
    tmp_path: Path, option: str, given: str, fault: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    arguments = ["--bundle", "nothing", "--data", tmp_path, option, tmp_path / given]
    told = script("evaluate.py", *arguments, status=1)
    assert fault in told
    assert len(told.splitlines()) == 1


def test_a_gallery_is_a_number_of_people(tmp_path: Path) -> None:
    for gallery in ("-5", "0"):
        told = script("calibrate.py", "--bundle", "nothing", "--data", tmp_path, f"--gallery={gallery}", status=2)
        assert f"argument --gallery: '{gallery}' is not a whole number above zero" in told


def test_a_checkpoint_that_does_not_fit_is_a_clear_error(data: Path, tmp_path: Path) -> None:
    (tmp_path / "b.checkpoint").write_bytes(b"junk")
    arguments = ["tutorial", "--data", data, "--out", tmp_path / "b", *SMALL, "--resume"]
    assert script("train.py", *arguments, status=1).splitlines()[-1].startswith("error: cannot resume from")
    torch.save({"data": "of others", "run": {}}, tmp_path / "b.checkpoint")
    assert "the pictures are not those" in script("train.py", *arguments, status=1)


@pytest.mark.slow
def test_transfer_from_the_shipped_bundle_gives_one_that_can_be_served(tmp_path: Path) -> None:
    for person, picture in itertools.product(range(16), range(2)):
        home = tmp_path / "people" / f"p{person}"
        home.mkdir(parents=True, exist_ok=True)
        (home / f"{picture}.png").write_bytes(makers.encoded(portrait(person, picture)))
    short = ["--rounds", 1, "--steps", 9, "--pairs-of-pictures", 1, "--single-pictures", 1]
    held_out = ["--calibration-people", 9, "--test-people", 2]
    arguments = ["transfer", "--data", tmp_path / "people", "--out", tmp_path / "mine"]
    log = script("train.py", *arguments, "--init", "default", *short, *held_out)
    assert "round 1/1: to target 0." in log
    manifest = bundle.load(tmp_path / "mine").manifest
    default = bundle.load(bundle.SHIPPED / "default").manifest
    assert (manifest.crop, manifest.detector) == (default.crop, default.detector)
    assert manifest.calibration is not None
    assert (len(manifest.training.data.people), len(manifest.calibration.data.people)) == (5, 9)
    assert Policy(manifest).operating_point().people == 9
    assert "starts from a sface with a detector" in script(
        "train.py", *arguments[:-1], tmp_path / "no", "--init", "tutorial", status=1
    )


@pytest.mark.slow
def test_thresholds_are_chosen_on_half_of_the_people_and_measured_on_the_others(data: Path, trained: Path) -> None:
    table = script("threshold_stability.py", "--bundle", trained, "--data", data, "--splits", 2, status=1)
    assert "9 people" in table  # nine were not trained on: too few for two halves
    assert "support no level" in table


@pytest.mark.slow
def test_fine_tuning_keeps_the_better_and_says_what_it_brought(tmp_path: Path) -> None:
    for person, picture in itertools.product(range(24), range(2)):
        home = tmp_path / "people" / f"p{person}"
        home.mkdir(parents=True, exist_ok=True)
        (home / f"{picture}.png").write_bytes(makers.encoded(portrait(person, picture)))
    arguments = ["finetune", "--init", "default", "--data", tmp_path / "people", "--out", tmp_path / "ours"]
    short = ["--rounds", 1, "--steps", 9, "--pairs-of-pictures", 1, "--single-pictures", 1, "--calibration-people", 9]
    log = script("train.py", *arguments, *short, "--test-people", 9)
    default, ours = (bundle.load(folder).manifest for folder in (bundle.SHIPPED / "default", tmp_path / "ours"))
    assert Policy(ours).operating_point().people == 9
    assert "on 9 people who neither trained nor chose" in log
    assert (tmp_path / "ours/finetune.md").read_text().split("\n\n")[0] in log
    kept = json.loads((tmp_path / "ours/finetune.json").read_text())["kept"]
    assert (contract_id(ours) == contract_id(default)) is (kept == "before")
    assert (f"Kept: the weights {kept}" in log) is (kept == "before")
    too_few = script("train.py", *arguments[:-1], tmp_path / "no", *short, "--test-people", 20, status=1)
    assert "24 people have two pictures or more, 24 of them not seen by the start; 9 to choose" in too_few
