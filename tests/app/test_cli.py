"""The command at a terminal: the same answers with a service and without one, and exit codes that scripts can trust."""

import gzip
import hashlib
import json
import tracemalloc
from pathlib import Path

import makers
import pytest
from services import running
from strangers import stranger

from app import answers, asking, cli


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


VERDICT = (
    b'{"same": %s, "distance": 0.1, "threshold": 0.2, "operating_point": {"fmr": 0.001, "fnmr": 0.1}, '
    b'"faces": {"image1": {"warnings": [%s]}, "image2": {"warnings": []}}}'
)
STRANGE = [
    b"", b"hello", b"{}", b"[]", b"1", b'{"same": "false"}', b'{"same": true}', b'{"status": "ok"}', b"\xff",
    b"[" * 200_000, VERDICT % (b'"true"', b""), VERDICT % (b"1", b""), VERDICT % (b"true", b'"\\u001b[2J"'),
    VERDICT % (b"true", b'"blurred\\n"'), gzip.compress(VERDICT % (b"true", b"")), b'{"embedding": "0.1"}',
    b'{"embedding": []}', b'{"embedding": [true]}',
]  # fmt: skip


@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["verdict", "json"])
@pytest.mark.parametrize("command", ["verify", "embed"])
@pytest.mark.parametrize("body", STRANGE, ids=range(len(STRANGE)))
def test_what_is_not_of_facepairs_form_is_no_answer(
    pictures: list[str], capsys: pytest.CaptureFixture[str], body: bytes, command: str, flags: list[str]
) -> None:
    given = pictures[:2] if command == "verify" else pictures[:1]
    with stranger(body) as address:
        assert cli.main([command, *flags, *given, "--url", address]) == asking.ERROR
    assert capsys.readouterr() == ("", "facepair: the answer is not Facepair's: status 200\n")


@pytest.mark.parametrize(("same", "code"), [(b"true", asking.SAME), (b"false", asking.DIFFERENT)])
def test_what_is_of_facepairs_form_may_say_more(pictures: list[str], same: bytes, code: int) -> None:
    with stranger(VERDICT % (same, b'"a_new_warning"')) as address:
        for flags in ([], ["--json"]):
            assert cli.main(["verify", *flags, *pictures[:2], "--url", address]) == code


def test_no_text_of_a_server_reaches_the_terminal_as_it_is(
    pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    problem = {"code": "x", "detail": "\x1b]0;owned\x07\x9b2J\nfacepair: all\u202e well" + "!" * 10_000}
    with stranger(json.dumps(problem).encode(), 422) as address:
        assert cli.main(["verify", *pictures[:2], "--url", address]) == asking.ERROR
    printed = capsys.readouterr().err
    assert printed.startswith("facepair:  ]0;owned  2J facepair: all  well!!!")
    assert printed.removesuffix("\n").isprintable()
    assert len(printed) < 1000
    with stranger(VERDICT.replace(b"{", b'{"more": "\\u001b\\u009b\x7f", ', 1) % (b"true", b"")) as address:
        assert cli.main(["verify", "--json", *pictures[:2], "--url", address]) == asking.SAME
    assert capsys.readouterr().out.removesuffix("\n").isprintable()


@pytest.mark.parametrize(
    ("body", "encoding", "said"),
    [(gzip.compress(b" " * 2**26), "gzip", "status 200"), (b" " * 2**26, "identity", "more than")],
    ids=["bomb", "endless"],
)
def test_an_answer_takes_little_memory(
    pictures: list[str], capsys: pytest.CaptureFixture[str], body: bytes, encoding: str, said: str
) -> None:
    tracemalloc.start()
    with stranger(body, encoding=encoding) as address:
        assert cli.main(["embed", pictures[0], "--url", address]) == asking.ERROR
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert said in capsys.readouterr().err
    assert most < 2**24


@pytest.mark.parametrize("address", ["", "localhost", "http://[::1", "http://127.0.0.1:x", "ftp://127.0.0.1"])
def test_an_address_that_is_none_is_one_line_and_2(
    pictures: list[str], capsys: pytest.CaptureFixture[str], address: str
) -> None:
    assert cli.main(["verify", *pictures[:2], "--url", address]) == asking.ERROR
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("content", [b"\xff\xfe", "ключ".encode(), b"s3cret\nmore"])
def test_a_file_that_holds_no_key_is_one_line_and_2(
    pictures: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (key := tmp_path / "key").write_bytes(content)
    with stranger(VERDICT % (b"true", b"")) as address:
        assert cli.main(["verify", *pictures[:2], "--url", address, "--key-file", str(key)]) == asking.ERROR
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "s3cret" not in printed


def test_an_unforeseen_fault_does_not_say_different_people(
    pictures: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(answers, "read", lambda *_: 1 / 0)
    with stranger(b"") as address:
        assert cli.main(["verify", *pictures[:2], "--url", address]) == asking.ERROR
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--version"], ["--print-completion", "bash"], ["verify", "--help"]])
def test_it_says_what_it_is(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(arguments)
    assert "facepair" in capsys.readouterr().out
