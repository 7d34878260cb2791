"""A short run of each robustness campaign; and that they can be cut, resumed, repeated, and do find faults."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import campaign
import pytest
from campaigns import attacks, expensive_pictures, starvation
from campaigns.damaged_pictures import base, damaged
from campaigns.harness import Outcome, Run, fault_of
from campaigns.malformed_requests import malformed
from service.http_client import Answer

from model.images import decode


def run(name: str, folder: Path, *options: str) -> dict[str, Any]:
    campaign.main([name, "--state", str(folder), *options])
    states = [json.loads(path.read_text()) for path in folder.glob(f"{name}-*.json")]
    return {
        "done": sum(state["done"] for state in states),
        "faults": [fault for state in states for fault in state["faults"]],
        "counts": {
            key: sum(state["counts"].get(key, 0) for state in states) for state in states for key in state["counts"]
        },
    }


def test_a_case_is_the_same_bytes_in_any_order() -> None:
    forth = [(damaged(3, number), malformed(3, number)) for number in range(40)]
    back = [(damaged(3, number), malformed(3, number)) for number in reversed(range(40))]
    assert forth == back[::-1]
    assert len({picture for picture, _ in forth}) == 40
    assert damaged(4, 0) != forth[0][0]


def test_the_pictures_are_sound_before_they_are_damaged() -> None:
    for number in range(64):
        assert decode(base(3, number)).shape[2] == 3


def test_shards_do_the_same_cases_and_a_stopped_run_goes_on(tmp_path: Path) -> None:
    whole = run("decode", tmp_path / "whole", "--cases", "90")
    run("decode", tmp_path / "parts", "--cases", "30", "--shard", "0/2", "--chunk", "7")
    run("decode", tmp_path / "parts", "--cases", "90", "--shard", "0/2", "--chunk", "7")
    assert run("decode", tmp_path / "parts", "--cases", "90", "--shard", "1/2") == whole
    assert whole["done"] == sum(whole["counts"].values()) == 90


@pytest.mark.slow
@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize(
    ("name", "cases"),
    [("decode", 500), ("http", 150), ("sockets", 150), ("swaps", 150), ("soak", 90), ("kills", 30), ("terms", 1)],
)
def test_a_short_run_finds_no_fault(tmp_path: Path, bundle_folder: Path, name: str, cases: int) -> None:
    found = run(name, tmp_path, "--cases", str(cases), "--chunk", "30", "--bundle", str(bundle_folder))
    assert found["done"] == cases
    assert len(found["counts"]) >= 2
    assert name == "decode" or any("200" in count for count in found["counts"])


@pytest.mark.slow
@pytest.mark.usefixtures("unhurried")
def test_requests_derived_from_the_document_find_no_fault(tmp_path: Path, bundle_folder: Path) -> None:
    found = run("schema", tmp_path, "--cases", "5", "--bundle", str(bundle_folder))
    assert found["counts"]["runs of schemathesis"] == 1


def test_faults_are_told_kept_and_end_with_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @contextmanager
    def unlucky(seed: int, bundle: str) -> Iterator[Run]:
        def run(numbers: Sequence[int]) -> Outcome:
            return Outcome(faults=[f"case {number} of {seed} on {bundle}" for number in numbers if number == 13])

        yield run

    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            campaign.main(["bad", "--cases", "20", "--chunk", "5", "--state", str(tmp_path)], {"bad": unlucky})
        assert ended.value.code == 1
        assert "1 faults\n  FAULT case 13 of 1 on tutorial" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "code", "allowed"),
    [
        (200, "", True), (422, "image_corrupt", True), (503, "overloaded", True), (500, "internal_error", False),
        (503, "", False), (0, "ConnectionResetError", False), (422, "", False), (400, "image_corrupt", False),
    ],
)  # fmt: skip
def test_an_answer_outside_the_contract_is_a_fault(status: int, code: str, allowed: bool) -> None:
    assert (fault_of(Answer(status, code, 0.1, {})) is None) == allowed


@pytest.mark.slow
@pytest.mark.usefixtures("unhurried")
def test_beside_each_attack_a_good_client_is_served(bundle_folder: Path) -> None:
    classes = len(attacks.CLASSES)
    with starvation.starvation(1, str(bundle_folder), seconds=1) as attacked:
        outcome = attacked(range(2 * classes))
    assert len(outcome.counts) == 2 * classes
    assert all(len(name.split("; ")) == len(starvation.COLUMNS) for name in outcome.counts)
    assert not [fault for fault in outcome.faults if "good client" in fault or "memory" in fault]


def test_the_good_client_shares_no_process_with_the_attacker() -> None:
    with starvation._attacker() as attacker:
        assert attacker.submit(os.getpid).result() != os.getpid()


def test_the_search_for_expensive_pictures_tells_the_worst_of_each_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expensive_pictures, "MAX_PIXELS", 1_000_000)  # of 25: the search is the same
    found = run("costs", tmp_path, "--cases", "24")
    records = list(expensive_pictures.records(found["counts"]))
    assert found["faults"] == []
    assert {record[1] for record in records} == {"seconds", "seconds a megabyte sent"}
    for record in records:
        same = [name.split("; ") for name in found["counts"] if name.startswith(f"{record[0]}; {record[1]}; ")]
        assert float(record[2]) == max(float(cells[2]) for cells in same)
