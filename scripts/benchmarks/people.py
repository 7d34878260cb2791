"""Measures what a gallery costs: a search beyond the embedding, the start, memory, at several numbers of people."""

import argparse
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import terminal
from benchmarks import people_report
from benchmarks.load import Task, load
from benchmarks.people_report import Enrolling, PeopleResults, Size
from benchmarks.results import Machine
from PIL import Image
from service.drawn_faces import portrait
from service.http_client import Answer, upload
from service.process import Running, serving
from threadpoolctl import threadpool_limits

from app.gallery import audit
from app.gallery.database import Connection
from app.gallery.gallery import Gallery, open_database, open_gallery
from app.gallery.records import Limits, NewPhoto
from app.gallery.register import vector_context
from app.gallery.sealing import Sealing, new_key
from model import bundle
from model.data.people import PeopleFolder
from model.manifest import contract_id, read

_CALLERS, _ENROLLED_AT_ONCE = 16, 8
_TOGETHER, _SEARCHES = (1, 8), 20
_ROUTES = ("/embed", "/identify")
_GALLERY = Path(__file__).parents[1] / "gallery.py"
_PHOTO, _NOW = "ph_" + "0" * 32, "2026-01-01T00:00:00.000000Z"
_PERSON = "INSERT INTO people (person_id, key, profile, created_at, updated_at, revision) VALUES (?, ?, ?, ?, ?, ?)"
_ENROLLED = (
    "INSERT INTO photos (person_id, photo_id, contract_id, vector, enrolled_at, quality, warnings) "
    "VALUES (?, ?, ?, ?, ?, '{}', '[]')"
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--people", type=terminal.positive, nargs="+", default=[500, 10_000, 100_000])
    parser.add_argument("--seconds", type=terminal.positive, default=6, help="of load, for each route and round")
    parser.add_argument("--rounds", type=terminal.positive, default=5)
    parser.add_argument("--postgres", nargs="+", default=[], help="URLs of empty databases, one for each number, and "
                        "one more for enrolling: measures PostgreSQL as well")  # fmt: skip
    parser.add_argument("--data", type=Path, help="folder with one sub-folder of pictures a person, to enrol from")
    parser.add_argument("--photos", type=terminal.positive, default=500, help="to enrol, each of another person")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"), help="folder for table and figures")


def run(options: argparse.Namespace) -> None:
    load_before = os.getloadavg()[0]
    sizes, enrolling = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "gallery.key").write_text(bytes(32).hex())
        stores = {"SQLite": [f"sqlite:///{folder}/{number}.db" for number in [*options.people, "enrolling"]]}
        if options.postgres:
            stores["PostgreSQL"] = options.postgres
        for store, urls in stores.items():
            sizes[store] = _sizes(options, urls[: len(options.people)], folder)
            if options.data:
                enrolling[store] = _enrolling(options, urls[-1], folder)
    results = PeopleResults(Machine.here(), round(load_before, 1), _CALLERS, sizes, enrolling)
    people_report.save(results, options.out)
    print(people_report.summary(results))


def _sizes(options: argparse.Namespace, urls: Sequence[str], folder: Path) -> list[Size]:
    with _serving(f"sqlite:///{folder}/nobody.db", folder) as service:
        nobody = service.megabytes()
    sizes = []
    for people, url in zip(options.people, urls, strict=True):
        fill(url, people)
        processor, loading = _processor_time(url, people)
        with _serving(url, folder) as service:
            kib = 1024 * (service.megabytes() - nobody) / people
            sizes.append(_size(people, service, options, processor, loading, kib))
    return sizes


def _enrolling(options: argparse.Namespace, url: str, folder: Path) -> Enrolling:
    """The command from its start to its end, and as many answers of `/embed` to the same photos."""
    photos = [files[0] for _, files in sorted(PeopleFolder(options.data).files.items())][: options.photos]
    requests = [upload("/embed", image=photo.read_bytes()) for photo in photos]
    people = folder / "people"
    for number, photo in enumerate(photos):
        (people / f"E{number}").mkdir(parents=True, exist_ok=True)
        (people / f"E{number}" / "photo.jpg").write_bytes(photo.read_bytes())
    enrol, embed, enrolled = [], [], 0
    with _serving(url, folder) as service:
        command = [sys.executable, str(_GALLERY), "enrol", str(people), "--url", service.address]
        load(Task(service.address, requests, 3.0, callers=_ENROLLED_AT_ONCE))
        for _ in range(options.rounds):
            done = load(Task(service.address, requests, float(options.seconds), callers=_ENROLLED_AT_ONCE))
            embed.append(done.seconds * len(photos) / len(done.answers))
            seconds, report = _timed(command)
            enrol.append(seconds)
            enrolled = int(re.findall(r"(\d+) enrolled", report)[0])
            _erase_all(url)
    return Enrolling(len(photos), enrolled, enrol, embed)


def _timed(command: Sequence[str]) -> tuple[float, str]:
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - started, done.stdout


def _erase_all(url: str) -> None:
    gallery = _open(url, 1)
    people = gallery.register.people(1_000_000).people
    for person in people:
        gallery.register.erase(person.person_id, "benchmark")
    gallery.close()


def fill(url: str, people: int) -> None:
    """Enrols drawn vectors of unit length, one a person, in few transactions."""
    manifest = read(bundle.SHIPPED / "default")
    contract, dimension = contract_id(manifest), manifest.embedding_size
    vectors = np.random.default_rng(0).normal(size=(people, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    gallery = _open(url, people)
    register = gallery.register

    def enrol(connection: Connection, numbers: range) -> None:
        for number in numbers:
            person, key = f"E{number:06}", new_key()
            profile = b'{"display_name": null, "metadata": {}, "consent_reference": null}'
            sealed = register.master.seal(key, "key", person), Sealing(key).seal(profile, "profile", person)
            revision = audit.append(
                connection, register.hashes, register.clock(), "benchmark", "enrol", person, "enrolled"
            )
            connection.execute(_PERSON, (person, *sealed, _NOW, _NOW, revision))
            vector = Sealing(key).seal(vectors[number].tobytes(), *vector_context(person, _PHOTO, contract))
            connection.execute(_ENROLLED, (person, _PHOTO, contract, vector, _NOW))
        connection.execute("UPDATE gallery SET people = people + ?", (len(numbers),))

    try:
        for start in terminal.progress("thousand people")(range(1, people, 1000)):
            numbers = range(start, min(start + 1000, people))
            register.database.write(partial(enrol, numbers=numbers))
        first = NewPhoto(_PHOTO, memoryview(vectors[0]).cast("B"), {}, ())
        register.enrol("E000000", [first], contract, "benchmark", "enrolled")
    finally:
        gallery.close()


def _open(url: str, people: int) -> Gallery:
    manifest = read(bundle.SHIPPED / "default")
    limits = Limits(people, 20)
    return open_gallery(open_database(url), Sealing(bytes(32)), contract_id(manifest), manifest.embedding_size, limits)


@contextmanager
def _serving(url: str, folder: Path) -> Iterator[Running]:
    key = str(folder / "gallery.key")
    settings = {"FACEPAIR_GALLERY": url, "FACEPAIR_GALLERY_KEY_FILE": key, "FACEPAIR_MAX_PEOPLE": "1000000"}
    settings["FACEPAIR_FPIR"] = "0.5"  # among 100,000 people the calibration supports no finer one than 0.03
    with serving(settings=settings) as service:
        yield service


def _size(
    people: int,
    service: Running,
    options: argparse.Namespace,
    processor: dict[int, float],
    loading: float,
    kib: float,
) -> Size:
    """The routes in turn: what else the machine does hits both alike."""
    embed, identify, search = [], [], []
    for _ in range(options.rounds):
        embedded, identified = (_answers(service.address, route, options.seconds) for route in _ROUTES)
        embed.append(1000 * median(answer.seconds for answer in embedded))
        identify.append(1000 * median(answer.seconds for answer in identified))
        search.append(median(answer.stages["search"] for answer in identified))
    return Size(people, embed, identify, search, processor, service.startup, loading, kib)


def _processor_time(url: str, people: int) -> tuple[dict[int, float], float]:
    """Milliseconds for a search, by how many are done together; and seconds for opening."""
    started = time.thread_time()
    gallery, dimension = _open(url, people), read(bundle.SHIPPED / "default").embedding_size
    loading = time.thread_time() - started
    queries = list(np.random.default_rng(1).normal(size=(max(_TOGETHER), dimension)).astype(np.float32))
    taken: dict[int, list[float]] = {count: [] for count in _TOGETHER}
    with threadpool_limits(1, user_api="blas"):  # as in the service
        for _ in range(_SEARCHES):
            for count, times in taken.items():
                started = time.thread_time()
                gallery.index.refresh()
                gallery.index.search_refreshed(queries[:count], 2)
                times.append(1000 * (time.thread_time() - started) / count)
    gallery.close()
    return {count: median(times) for count, times in taken.items()}, loading


def _answers(address: str, route: str, seconds: int) -> list[Answer]:
    answers = load(Task(address, _requests(route), float(seconds), callers=_CALLERS)).answers
    if not answers or any(answer.status != 200 for answer in answers):
        raise ValueError(f"{route} did not answer 200 every time")
    return answers


def _requests(route: str) -> Sequence[bytes]:
    file = io.BytesIO()
    Image.fromarray(portrait(2)).save(file, "PNG")
    return [upload(route, image=file.getvalue())]
