"""The benchmark's own arithmetic, and its client against a service that does what it is told."""

import asyncio
import importlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import benchmark
import msgspec
import numpy as np
import pytest
import terminal
from benchmarks import peers_report, people, people_report, report
from benchmarks.load import Task, load
from benchmarks.peers_report import Accuracy, Peer, Peers
from benchmarks.people_report import Enrolling, PeopleResults, Size
from benchmarks.results import LoopFigures, Machine, Overload, Results, Round
from service.http_client import upload
from service.process import PLAIN

from app.gallery.gallery import open_database, open_gallery
from app.gallery.records import Limits
from app.gallery.sealing import Sealing
from model import bundle
from model.manifest import contract_id, read

ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer-Timing: decode;dur=1.50, embed;dur=2.00\r\nContent-Length: 2\r\n\r\n{}",
    b'HTTP/1.1 503 X\r\nContent-Type: application/problem+json\r\nContent-Length: 21\r\n\r\n{"code":"overloaded"}',
)


@dataclass
class Told:
    address: str
    seconds: float = 0.05
    most: int = 0


@pytest.fixture
def told() -> Iterator[Told]:
    """A server that takes its time and refuses every third request."""
    service, ready, loop = Told(""), threading.Event(), asyncio.new_event_loop()
    asked = busy = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked, busy
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
                asked, busy = asked + 1, busy + 1
                service.most = max(service.most, busy)
                refused = asked % 3 == 0
                await asyncio.sleep(0 if refused else service.seconds)
                busy -= 1
                writer.write(ANSWER[refused])
        except EOFError:
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        service.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await ended.wait()
        server.close()

    ended = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=[run()])
    thread.start()
    ready.wait(5)
    yield service
    loop.call_soon_threadsafe(ended.set)
    thread.join(5)
    loop.close()


def test_a_closed_loop_keeps_its_callers_busy(told: Told) -> None:
    done = load(Task(told.address, [upload("/verify", image1=b"x")], 1.0, callers=4))
    assert told.most == 4
    assert {(answer.status, answer.code) for answer in done.answers} == {(200, ""), (503, "overloaded")}
    assert done.good[0].stages == {"decode": 1.5, "embed": 2.0}
    assert all(answer.seconds >= told.seconds for answer in done.good)
    assert done.goodput == pytest.approx(len(done.good) / done.seconds)
    assert 4 < len(done.good) <= 4 * 1.0 / told.seconds + 4
    assert 0 < done.client_share < 1


def test_an_open_loop_does_not_wait_for_answers(told: Told) -> None:
    told.seconds = 0.5
    done = load(Task(told.address, [upload("/verify", image1=b"x")], 1.0, rate=60))
    assert 30 <= len(done.answers) <= 60
    assert told.most > 10


def results() -> Results:
    def figures(throughput: float, p50: float = 100, p99: float = 200) -> LoopFigures:
        return LoopFigures(throughput, p50, p99, 0, {"decode": 2.0}, 0.1)

    def measured(speed: float) -> Round:
        callers = {1: figures(5 * speed, 83 / speed), 16: figures(18 * speed), 32: figures(17 * speed)}
        return Round({"a": 10 * speed, "b": 20 * speed}, 80 / speed, callers, figures(6 * speed, p99=400))

    overloads = [Overload(times, 1000, 100, 899, 1, 0.95, 900, 12.4, 0.2) for times in (2, 10)]
    machine = Machine("a processor", 2, "3.11", "openvino 2026.4")
    return Results(machine, 500, 8, [measured(1), measured(2), measured(0.5)], overloads, 2.4, (300, 310), (1, 6), 900)


def test_ratios_are_of_one_round_each_and_their_median_is_shown(tmp_path: Path) -> None:
    lines = report.summary(results()).splitlines()
    assert [line.split(" | ")[1] for line in lines[2:]] == [
        "0.90 (0.90 to 0.90)", "3.00 (1.50 to 6.00) ms", "3.00 (3.00 to 3.00)", "0.50 (0.50 to 0.50)", "6.0", "0.95",
        "12 ms", "2", "2.4 s",
    ]  # fmt: skip
    assert report.callers_table(results()).splitlines()[-2] == "| 16 | 18.0 | 100.0 | 200.0 | 2.0 |"
    report.save(results(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"benchmark.json", "benchmark.md", "benchmark.svg"}


@pytest.mark.parametrize("command", ["service", "peers", "stages", "pairs", "people", "training"])
def test_each_benchmark_is_a_command_with_flags_of_its_own(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        terminal.run_command("", benchmark.COMMANDS, [command, "--help"])
    assert f" {command} [-h]" in capsys.readouterr().out
    for bad in ([], ["nothing"], [command, "--unknown"]):
        with pytest.raises(SystemExit, match="2"):
            terminal.run_command("", benchmark.COMMANDS, bad)


def test_the_plain_service_is_where_it_is_looked_for() -> None:
    place, builder = PLAIN[PLAIN.index("--factory") + 1].split(":")
    assert callable(getattr(importlib.import_module(place), builder))


def test_peers_are_compared_round_by_round(tmp_path: Path) -> None:
    def peer(name: str, speeds: list[float], **answers: int) -> Peer:
        rounds = [{n: LoopFigures(speed * n, 100, 200, 0, {}, 0.1) for n in (1, 16)} for speed in speeds]
        return Peer(name, Accuracy(0.993, 0.01, 2), {"same": 3}, answers, True, rounds, 1.25, 300, 900)

    ours, other = peer("ours", [2, 4, 6]), peer("other", [1, 4, 2], **{"200": 4, "422": 1, "500": 2, "TimeoutError": 1})
    compared = Peers(results().machine, 500, [ours, other])
    rows = dict(line[2:-2].split(" | ", 1) for line in peers_report.summary(compared).splitlines())
    assert rows["pairs a second, 16 callers"] == "64.0 | 32.0"
    assert rows["Facepair's, of that, 1 caller"] == "1.00 (1.00 to 1.00) | 2.00 (1.00 to 3.00)"
    assert rows["LFW View 1, FNMR at FMR 0.01"] == "1.0 % | 1.0 %"
    assert rows["hostile uploads: faults or no answer"] == "0 | 3"
    peers_report.save(compared, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"peers.json", "peers.svg"}
    assert peers_report.read(tmp_path) == compared


def test_what_a_gallery_costs_stands_beside_the_targets(tmp_path: Path) -> None:
    few, many = (
        Size(people, [100, 200, 300], [102, 201, 310], [1.5, 1.25, 9], {1: 0.25, 8: 0.125}, start, 0.5, 2.25)
        for people, start in ((500, 1.6), (100_000, 9.5))
    )
    enrolling = Enrolling(500, 490, [11, 24, 10.5], [10, 20, 10])
    stores = {"SQLite": [few, many], "PostgreSQL": [many, few]}
    measured = PeopleResults(results().machine, 2.5, 16, stores, dict.fromkeys(stores, enrolling))
    rows = dict(line[2:-2].split(" | ", 1) for line in people_report.summary(measured).splitlines())
    assert rows["the search alone, 500 people"] == "1.5 (1.2 to 9.0) ms | 1.5 (1.2 to 9.0) ms | at most 1 ms"
    assert rows["`/identify` beyond `/embed`, 100,000 people"].startswith("2.0 (1.0 to 10.0) ms")
    assert rows["processor time of a search among 500, 8 together"].startswith("0.12 ms")
    assert rows["start with 100,000 people"] == "9.5 s | 1.6 s | at most 10 s"
    assert rows["memory a person, of 100,000"].startswith("2.2 KiB")
    assert rows["enrolling 500 photos, of embedding them"].startswith("1.10 (1.05 to 1.20)")
    people_report.save(measured, tmp_path)
    assert msgspec.json.decode((tmp_path / "people.json").read_bytes(), type=PeopleResults) == measured


def test_a_gallery_is_filled_with_people_whom_a_service_finds(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'gallery.db'}"
    people.fill(url, 7)
    manifest = read(bundle.SHIPPED / "default")
    gallery = open_gallery(
        open_database(url), Sealing(bytes(32)), contract_id(manifest), manifest.embedding_size, Limits()
    )
    query = np.random.default_rng(0).normal(size=(7, manifest.embedding_size)).astype(np.float32)
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    for number in range(7):
        [match] = gallery.index.search(query[number], 1).matches
        assert (match.person_id, match.distance) == (f"E{number:06}", 0)
    counts = gallery.index.counts()
    assert (counts.people, counts.photos, counts.damaged) == (7, 7, ())
    gallery.close()
