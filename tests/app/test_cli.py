"""The command at a terminal: the same answers with a service and without one, and exit codes that scripts can trust."""

import hashlib
import json
from pathlib import Path

import httpx
import makers
import pytest
from services import running

from app import asking, cli


@pytest.fixture
def pictures(tmp_path: Path, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two pictures of one person and one of another, and a file that is none."""
    monkeypatch.setenv("FACEPAIR_BUNDLE", str(bundle_folder))
    contents = [makers.encoded(makers.face(person), "PPM") for person in (1, 1, 2)]
    paths = [tmp_path / f"{number}.pgm" for number in range(4)]
    for path, content in zip(paths, [*contents, b"none"], strict=True):
        path.write_bytes(content)
    return [str(path) for path in paths]


def test_it_ends_with_0_for_same_and_1_for_different(pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify", pictures[0], pictures[1]]) == asking.SAME
    assert capsys.readouterr().out.startswith("same person: distance 0.0000, threshold ")
    assert cli.main(["verify", pictures[0], pictures[2], "--fmr", "0.01", "--json"]) == asking.DIFFERENT
    answer = json.loads(capsys.readouterr().out)
    assert (answer["same"], answer["operating_point"]["fmr"]) == (False, 0.01)


def test_a_running_service_gives_the_same_answers(
    pictures: list[str], bundle_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["embed", pictures[2]]) == 0
    inside = capsys.readouterr().out
    with running("facepair", bundle_folder) as (address, _):
        assert cli.main(["embed", pictures[2], "--url", address]) == 0
    assert capsys.readouterr().out == inside
    assert len(inside.split()) == 50


def test_a_key_is_sent(pictures: list[str], bundle_folder: Path, tmp_path: Path) -> None:
    key, keys = tmp_path / "key", tmp_path / "keys"
    key.write_text("s3cret\n")
    keys.write_text(f"{hashlib.sha256(b's3cret').hexdigest()} anna\n")
    with running("facepair", bundle_folder, api_keys_file=keys) as (address, _):
        assert cli.main(["embed", pictures[0], "--url", address]) == asking.ERROR
        assert cli.main(["embed", pictures[0], "--url", address, "--key-file", str(key)]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{0}", "{3}"], "facepair: image2: The content is not a"),
        (["{0}", "{0}", "--fmr", "0.5"], "(level_not_supported)"),
        (["{0}", "missing.jpg"], "No such file"),
        (["{0}", "{0}", "--url", "http://127.0.0.1:9"], "facepair: "),
    ],
)
def test_what_goes_wrong_is_one_line_and_2(
    pictures: list[str], capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert cli.main(["verify", *(argument.format(*pictures) for argument in arguments)]) == asking.ERROR
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert message in printed.err


def test_a_bad_start_is_no_answer(
    pictures: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FACEPAIR_PORT", "x")
    assert cli.main(["verify", *pictures[:2]]) == asking.ERROR
    assert "FACEPAIR_PORT" in capsys.readouterr().err


def test_what_answers_must_be_facepair() -> None:
    for stranger in (httpx.Response(200, text="hello"), httpx.Response(502, json={"error": "x"})):
        with pytest.raises(asking.CommandError, match="not Facepair's"):
            asking._answer(stranger)


@pytest.mark.parametrize("arguments", [["--version"], ["--print-completion", "bash"], ["verify", "--help"]])
def test_it_says_what_it_is(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(arguments)
    assert "facepair" in capsys.readouterr().out
