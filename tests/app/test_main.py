"""What only a process or a socket shows: the start, its refusals, and bodies that are never read."""

import hashlib
import json
import math
import os
import pickle
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import makers
import msgspec
import pytest
import recognising
import warm
from PIL import Image
from services import COMMANDS, PATIENCE, files, running

from app.main import START_ERRORS, build, create_app
from model import bundle
from model.manifest import MANIFEST


@pytest.fixture(scope="module")
def address(bundle_folder: Path) -> Iterator[str]:
    with running("facepair", bundle_folder) as (address, _):
        yield address


@pytest.mark.parametrize("command", COMMANDS)
def test_it_serves_and_ends_cleanly(bundle_folder: Path, picture: bytes, command: str) -> None:
    with running(command, bundle_folder) as (address, process):
        answer = httpx.post(f"{address}/verify", files=files(picture), timeout=PATIENCE)
        assert (answer.status_code, answer.json()["same"]) == (200, True)
        process.send_signal(signal.SIGTERM)
        log, _ = process.communicate(timeout=25)
    assert process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in log


def niceness(pid: int) -> dict[int, int]:
    """Of each thread of a process, by the thread's id."""
    threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    return {thread: os.getpriority(os.PRIO_PROCESS, thread) for thread in threads}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no niceness of its own")
def test_what_computes_gives_way_to_the_event_loop(bundle_folder: Path, picture: bytes) -> None:
    """Among its equals the loop came last: at ten times the capacity a refusal took seconds."""
    with running("facepair", bundle_folder, threads=2) as (address, process):
        assert httpx.post(f"{address}/verify", files=files(picture), timeout=PATIENCE).status_code == 200
        threads = niceness(process.pid)
        loop = threads.pop(process.pid)
        assert loop == os.getpriority(os.PRIO_PROCESS, 0)
        computing = [nice for nice in threads.values() if nice > loop]
        assert len(computing) >= 3  # who finds, who batches, who embeds
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert children
        assert all(os.getpriority(os.PRIO_PROCESS, int(child)) > loop for child in children)


def no_bundle(_: Path) -> dict[str, str]:
    return {"FACEPAIR_BUNDLE": "nothing"}


def bad_digest(tmp_path: Path) -> dict[str, str]:
    folder = makers.save_bundle(tmp_path / "b")
    (folder / bundle.WEIGHTS).write_bytes(b"x")
    return {"FACEPAIR_BUNDLE": str(folder)}


def other_distances(tmp_path: Path) -> dict[str, str]:
    folder = makers.save_bundle(tmp_path / "b")
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["self_test"][0] += 0.1
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return {"FACEPAIR_BUNDLE": str(folder)}


def level_without_data(tmp_path: Path) -> dict[str, str]:
    return {"FACEPAIR_BUNDLE": str(makers.save_bundle(tmp_path / "b")), "FACEPAIR_FMR": "0.001"}


def bad_setting(_: Path) -> dict[str, str]:
    return {"FACEPAIR_PORT": "x"}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("fault", [no_bundle, bad_digest, other_distances, level_without_data, bad_setting])
def test_a_bad_start_ends_with_one_clear_line(
    tmp_path: Path, command: str, fault: Callable[[Path], dict[str, str]]
) -> None:
    arguments = COMMANDS[command] + (["0"] if command == "uvicorn" else [])
    ended = warm.run(arguments, env=os.environ | fault(tmp_path))
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("facepair: ")
    assert ended.stderr.count("\n") == 1


def pickled(tmp_path: Path) -> dict[str, str]:
    folder = makers.save_bundle(tmp_path / "b")
    weights = pickle.dumps({"a": 1})
    (folder / bundle.WEIGHTS).write_bytes(weights)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["weights_sha256"] = hashlib.sha256(weights).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return {"FACEPAIR_BUNDLE": str(folder)}


def not_finite(tmp_path: Path) -> dict[str, str]:
    made = makers.make_bundle("b")
    next(iter(made.weights.values())).flat[0] = math.nan
    bundle.save(tmp_path / "b", made)
    return {"FACEPAIR_BUNDLE": str(tmp_path / "b")}


def uncalibrated(tmp_path: Path) -> dict[str, str]:
    made = makers.make_bundle("b")
    bundle.save(tmp_path / "b", replace(made, manifest=msgspec.structs.replace(made.manifest, calibration=None)))
    return {"FACEPAIR_BUNDLE": str(tmp_path / "b")}


def no_keys(tmp_path: Path) -> dict[str, str]:
    return {"FACEPAIR_API_KEYS_FILE": str(tmp_path / "none")}


def no_time(_: Path) -> dict[str, str]:
    return {"FACEPAIR_REQUEST_TIMEOUT": "inf"}


@pytest.mark.parametrize("fault", [pickled, not_finite, uncalibrated, no_keys, no_time])
def test_other_bad_starts_end_so_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Path], dict[str, str]]
) -> None:
    for name, value in fault(tmp_path).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=r"^facepair: [^\n]+$"):
        build()


def test_a_gallery_that_cannot_be_used_now_ends_so_too(tmp_path: Path, bundle_folder: Path) -> None:
    where = tmp_path / "gallery.db"
    settings = recognising.settings(bundle_folder, tmp_path)
    with closing(sqlite3.connect(where, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(START_ERRORS, match=r"^the gallery's database [^\n]*locked[^\n]*$"):
            create_app(settings)


def test_an_address_that_is_taken_ends_with_one_line(bundle_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = {"FACEPAIR_PORT": str(taken.getsockname()[1]), "FACEPAIR_BUNDLE": str(bundle_folder)}
        ended = warm.run(COMMANDS["facepair"], env=os.environ | given)
    assert ended.returncode == 1
    assert ended.stderr.startswith("facepair: cannot listen on 127.0.0.1, port ")
    assert ended.stderr.count("\n") == 1


def talk(address: str, request: bytes) -> bytes:
    """Sends bytes as they are and reads until the other side closes."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def test_ten_announced_gigabytes_are_refused_unread(address: str, picture: bytes) -> None:
    head = b"POST /verify HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    answer = talk(address, head + b"Content-Length: 10000000000\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code": "body_too_large"' in answer
    assert b"connection: close" in answer.lower()
    assert httpx.post(f"{address}/verify", files=files(picture), timeout=PATIENCE).status_code == 200


def test_a_broken_head_is_refused_and_the_next_request_succeeds(address: str, picture: bytes) -> None:
    assert talk(address, b"POST \x00 HTTP/9\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert talk(address, b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert httpx.post(f"{address}/verify", files=files(picture), timeout=PATIENCE).status_code == 200


def test_a_client_that_leaves_is_no_fault_of_the_service(bundle_folder: Path, picture: bytes) -> None:
    head = b"POST /verify HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    with running("facepair", bundle_folder) as (address, process):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
            connection.sendall(head + b"Content-Length: 1000\r\n\r\n--b\r\n")
        assert httpx.post(f"{address}/verify", files=files(picture), timeout=PATIENCE).status_code == 200
        process.send_signal(signal.SIGTERM)
        log, _ = process.communicate(timeout=25)
    assert "Traceback" not in log


def test_nothing_of_a_face_or_a_file_is_logged(bundle_folder: Path, picture: bytes) -> None:
    with running("facepair", bundle_folder) as (address, process):
        httpx.post(f"{address}/embed", files={"image": ("Jane-Doe.pgm", picture)}, timeout=PATIENCE)
        httpx.post(f"{address}/embed", files={"image": ("Jane-Doe.pgm", b"junk")}, timeout=PATIENCE)
        process.send_signal(signal.SIGTERM)
        log, _ = process.communicate(timeout=25)
    assert "/embed" in log
    assert "Jane" not in log
    assert "embedding" not in log.replace("/embed", "")


def test_every_line_of_the_log_is_json_whatever_is_in_a_picture(bundle_folder: Path) -> None:
    odd = makers.encoded(Image.fromarray(makers.face(1)), "JPEG", exif=b"Exif\0\0II*\0" + b"\xff" * 60)
    with running("facepair", bundle_folder) as (address, process):
        assert httpx.post(f"{address}/embed", files={"image": odd}, timeout=PATIENCE).status_code == 200
        process.send_signal(signal.SIGTERM)
        log, _ = process.communicate(timeout=25)
    assert all(json.loads(line)["level"] == "INFO" for line in log.splitlines())
