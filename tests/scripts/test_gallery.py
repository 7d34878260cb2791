"""A folder of people enrolled, found, exported, erased and put back; the key changed; the audit verified."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import recognising
import scripting
import warm
from services import running
from strangers import stranger

ROOT = Path(__file__).parents[2]


def script(*arguments: object, **settings: object) -> str:
    ended = run(*arguments, **settings)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def refusal(*arguments: object, **settings: object) -> str:
    ended = run(*arguments, **settings)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
    return ended.stderr


def run(*arguments: object, **settings: object) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {f"FACEPAIR_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, str(ROOT / "scripts/gallery.py"), *map(str, arguments)]
    return warm.run(command, env=environment)


def write_people(folder: Path) -> Path:
    for person in range(3):
        home = folder / f"E{person}"
        home.mkdir(parents=True)
        for number in range(2):
            (home / f"{number}.ppm").write_bytes(recognising.picture(person, number))
    (folder / "E0" / "x.ppm").write_bytes(b"no picture")
    return folder


def person(person_id: str, expires_at: str | None = None) -> bytes:
    told: dict[str, object] = {"person_id": person_id, "display_name": None, "metadata": {}, "consent_reference": None}
    return json.dumps(told | {"expires_at": expires_at, "photos": []}).encode() + b"\n"


@pytest.mark.slow
def test_a_folder_is_enrolled_found_erased_and_put_back(tmp_path: Path) -> None:
    bundle, people = recognising.save_bundle(tmp_path / "recogniser"), write_people(tmp_path / "people")
    for name, byte in (("old", "00"), ("new", "11")):
        (tmp_path / f"{name}.key").write_text(byte * 32)
    gallery = {"gallery": f"sqlite:///{tmp_path / 'gallery.db'}", "gallery_key_file": tmp_path / "old.key"}
    probe = {"image": recognising.picture(1, 2)}
    with running("facepair", bundle, fpir=0.1, **gallery) as (address, _):
        shown = script("enrol", people, "--url", address)
        assert "3 people: 6 enrolled, 1 rejected" in shown
        assert f"rejected {people / 'E0' / 'x.ppm'}: unsupported_image_format" in shown
        assert "3 people: 6 already_enrolled, 1 rejected" in script("enrol", people, "--url", address)
        assert httpx.post(f"{address}/identify", files=probe).json()["person_id"] == "E1"
        script("export", tmp_path / "all.ndjson", **gallery)
        assert httpx.delete(f"{address}/people/E1").json()["photos_erased"] == 2
        assert httpx.post(f"{address}/identify", files=probe).json()["outcome"] == "unknown"
        script("export", tmp_path / "rest.ndjson", **gallery)
        assert "2 people" in script("import", tmp_path / "rest.ndjson", **gallery)
        assert "3 people" in script("import", tmp_path / "all.ndjson", **gallery)
        assert httpx.post(f"{address}/identify", files=probe).json()["person_id"] == "E1"
    assert (tmp_path / "all.ndjson").stat().st_mode & 0o077 == 0
    kept = [json.loads(line)["person_id"] for line in (tmp_path / "rest.ndjson").read_text().splitlines()]
    assert kept == ["E0", "E2"]
    assert "sealed 3 keys anew" in script("rotate-key", tmp_path / "new.key", **gallery)
    assert "does not hold the key" in refusal("audit", **gallery)
    rotated = gallery | {"gallery_key_file": tmp_path / "new.key"}
    audited = script("audit", **rotated)
    assert "entries is whole" in audited
    assert "rotate_key" in audited
    assert "E1" not in audited
    with running("facepair", bundle, fpir=0.1, **rotated) as (address, _):
        assert httpx.post(f"{address}/identify", files=probe).json()["person_id"] == "E1"


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    assert "which gallery?" in refusal("audit")
    (tmp_path / "key").write_text("00" * 32)
    gallery = {"gallery": f"sqlite:///{tmp_path / 'gallery.db'}", "gallery_key_file": tmp_path / "key"}
    (tmp_path / "bad.ndjson").write_text('{"person_id": "../x"}\n')
    assert "line 1: not a line of an export" in refusal("import", tmp_path / "bad.ndjson", **gallery)
    (tmp_path / "two.ndjson").write_bytes(person("E1") + person("x\n"))
    assert "line 2: not a line of an export" in refusal("import", tmp_path / "two.ndjson", **gallery)
    (tmp_path / "two.ndjson").write_bytes(person("E1") + person("E2"))
    assert "line 2: the gallery is full" in refusal("import", tmp_path / "two.ndjson", max_people=1, **gallery)
    assert "no sub-folders" in refusal("enrol", tmp_path / "none")


def test_whoever_expired_since_the_export_is_skipped_and_the_others_come_in(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("00" * 32)
    gallery = {"gallery": f"sqlite:///{tmp_path / 'gallery.db'}", "gallery_key_file": tmp_path / "key"}
    lines = [person("E1"), person("E2", "2001-01-01T00:00:00Z"), person("E3")]
    (tmp_path / "all.ndjson").write_bytes(b"".join(lines))
    shown = script("import", tmp_path / "all.ndjson", **gallery)
    assert "skipped E2: expires_at is over" in shown
    assert "2 people are in the gallery, 1 skipped" in shown
    script("export", tmp_path / "again.ndjson", **gallery)
    assert (tmp_path / "again.ndjson").read_bytes() == lines[0] + lines[2]


def test_an_id_whose_time_is_over_ends_an_import_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("00" * 32)
    gallery = {"gallery": f"sqlite:///{tmp_path / 'gallery.db'}", "gallery_key_file": tmp_path / "key"}
    (tmp_path / "all.ndjson").write_bytes(person("E1") + person("E2"))
    script("import", tmp_path / "all.ndjson", **gallery)
    with sqlite3.connect(tmp_path / "gallery.db") as database:
        database.execute("UPDATE people SET expires_at = '2001-01-01T00:00:00.000+00:00' WHERE person_id = 'E2'")
    assert "line 2: a person of this id is over" in refusal("import", tmp_path / "all.ndjson", **gallery)


def test_enrolling_does_not_wait_for_what_the_service_is_made_of() -> None:
    code = "import sys, gallery; sys.exit(bool({'app.settings', 'app.gallery', 'torch'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT / "scripts", env={"PYTHONPATH": str(ROOT)})


STRANGE = [
    (201, b"<html>"), (201, b"null"), (201, b"[]"), (201, b"{}"), (201, b"[" * 200_000), (201, b"\xff"),
    (500, b'{"rejected": []}'), (500, b'{"accepted": [{"status": "enrolled"}], "rejected": []}'),
    (201, b'{"accepted": [], "rejected": []}'), (201, b'{"accepted": [], "rejected": "abc"}'),
    (201, b'{"accepted": [], "rejected": [{"index": 1, "code": "blurred"}]}'),
    (201, b'{"accepted": [], "rejected": [{"index": -1, "code": "blurred"}]}'),
    (201, b'{"accepted": [], "rejected": [{"index": 0, "code": "\\u001b[2J"}]}'),
    (201, b'{"accepted": [{"status": "\\u001b[2J"}], "rejected": []}'),
    (201, b'{"accepted": [{"status": "enrolled"}, {"status": "enrolled"}], "rejected": []}'),
    (422, b'{"rejected": [{"index": 0, "code": "blurred"}]}'), (201, b" " * 2**21),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body"), STRANGE, ids=range(len(STRANGE)))
def test_what_is_not_of_facepairs_form_is_no_success(tmp_path: Path, status: int, body: bytes) -> None:
    (tmp_path / "E1").mkdir()
    (tmp_path / "E1" / "photo.ppm").write_bytes(b"x")
    with stranger(body, status) as address:
        printed = scripting.script("gallery.py", "enrol", tmp_path, "--url", address, status=1)
    assert printed.startswith("error: E1: the answer is not Facepair's")
    assert printed.count("\n") == 1


def test_neither_a_servers_text_nor_a_files_name_reaches_the_terminal_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "E\x1b[2J").mkdir()
    (tmp_path / "E\x1b[2J" / "a\nb.ppm").write_bytes(b"x")
    problem = {"code": "x", "detail": "\x1b]0;owned\x07\nsecond"}
    with stranger(json.dumps(problem).encode(), 500) as address:
        printed = scripting.script("gallery.py", "enrol", tmp_path, "--url", address, status=1)
    assert printed == "error: E [2J:  ]0;owned  second (x)\n"
    rejection = {"code": "enrolment_rejected", "detail": "", "rejected": [{"index": 0, "code": "blurred"}]}
    with stranger(json.dumps(rejection).encode(), 422) as address:
        printed = scripting.script("gallery.py", "enrol", tmp_path, "--url", address)
    assert printed == f"rejected {tmp_path}/E [2J/a b.ppm: blurred\n1 people: 1 rejected\n"
