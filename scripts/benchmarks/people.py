"""Measures what a gallery costs: a search beyond the embedding, the start, memory, at several numbers of people."""

import argparse
import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import terminal
from benchmarks.load import Task, load
from PIL import Image
from service.drawn_faces import portrait
from service.http_client import upload
from service.process import Running, serving

from app.gallery.database import Connection
from app.gallery.gallery import open_database, open_gallery
from app.gallery.records import Limits, NewPhoto
from app.gallery.register import vector_context
from app.gallery.sealing import Sealing, new_key
from model import bundle
from model.manifest import contract_id, read
from model.reports.markdown import table

_CALLERS, _ROUNDS = 16, 3
_ROUTES = ("/embed", "/identify")
_PHOTO, _NOW = "ph_" + "0" * 32, "2026-01-01T00:00:00.000000Z"
_PERSON = "INSERT INTO people (person_id, key, profile, created_at, updated_at, revision) VALUES (?, ?, ?, ?, ?, ?)"
_ENROLLED = (
    "INSERT INTO photos (person_id, photo_id, contract_id, vector, enrolled_at, quality, warnings) "
    "VALUES (?, ?, ?, ?, ?, '{}', '[]')"
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--people", type=terminal.positive, nargs="+", default=[500, 10_000, 100_000])
    parser.add_argument("--seconds", type=terminal.positive, default=6, help="of load, for each route and round")
    parser.add_argument("--postgres", nargs="+", default=[], help="URLs of empty databases, one for each number")


def run(options: argparse.Namespace) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "gallery.key"
        key.write_text(bytes(32).hex())
        urls = options.postgres or [f"sqlite:///{folder}/{people}.db" for people in options.people]
        with _serving(f"sqlite:///{folder}/nobody.db", key) as service:
            nobody = service.megabytes()
        for people, url in zip(options.people, urls, strict=True):
            fill(url, people)
            with _serving(url, key) as service:
                memory = 1024 * (service.megabytes() - nobody) / people
                rows.append(_row(people, service, options.seconds, memory))
    print(table(["people", "store", *_HEAD], [[row[0], urls[0].split(":")[0], *row[1:]] for row in rows]))


_HEAD = ("`/embed`, ms", "`/identify`, ms", "beyond, ms", "start, s", "memory a person, KiB")


def fill(url: str, people: int) -> None:
    """Enrols drawn vectors of unit length, one a person, in one transaction."""
    manifest = read(bundle.SHIPPED / "default")
    contract, dimension = contract_id(manifest), manifest.embedding_size
    vectors = np.random.default_rng(0).normal(size=(people, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    gallery = open_gallery(open_database(url), Sealing(bytes(32)), contract, dimension, Limits(people, 20))
    register = gallery.register

    def work(connection: Connection) -> None:
        for number in terminal.progress("person")(range(1, people)):
            person, key = f"E{number:06}", new_key()
            profile = b'{"display_name": null, "metadata": {}, "consent_reference": null}'
            sealed = register.master.seal(key, "key", person), Sealing(key).seal(profile, "profile", person)
            connection.execute(_PERSON, (person, *sealed, _NOW, _NOW, 1))
            vector = Sealing(key).seal(vectors[number].tobytes(), *vector_context(person, _PHOTO, contract))
            connection.execute(_ENROLLED, (person, _PHOTO, contract, vector, _NOW))

    try:
        register.database.write(work)  # enrolling one by one would take a transaction each
        first = NewPhoto(_PHOTO, memoryview(vectors[0]).cast("B"), {}, ())
        register.enrol("E000000", [first], contract, "benchmark", "enrolled")
    finally:
        gallery.close()


@contextmanager
def _serving(url: str, key: Path) -> Iterator[Running]:
    settings = {"FACEPAIR_GALLERY": url, "FACEPAIR_GALLERY_KEY_FILE": str(key), "FACEPAIR_MAX_PEOPLE": "1000000"}
    settings["FACEPAIR_FPIR"] = "0.5"  # among 100,000 people the calibration supports no finer one than 0.03
    with serving(settings=settings) as service:
        yield service


def _row(people: int, service: Running, seconds: int, memory: float) -> list[str]:
    """Medians over rounds of the routes in turn: what else the machine does hits both alike."""
    taken: dict[str, list[float]] = {route: [] for route in _ROUTES}
    for _ in range(_ROUNDS):
        for route in _ROUTES:
            taken[route].append(_milliseconds(service.address, route, seconds))
    embed, identify = (median(taken[route]) for route in _ROUTES)
    beyond = median(two - one for one, two in zip(*(taken[route] for route in _ROUTES), strict=True))
    return [f"{people:,}", *(f"{value:.1f}" for value in (embed, identify, beyond, service.startup, memory))]


def _milliseconds(address: str, route: str, seconds: int) -> float:
    answers = load(Task(address, _requests(route), float(seconds), callers=_CALLERS)).answers
    if not answers or any(answer.status != 200 for answer in answers):
        raise ValueError(f"{route} did not answer 200 every time")
    return 1000 * median(answer.seconds for answer in answers)


def _requests(route: str) -> Sequence[bytes]:
    file = io.BytesIO()
    Image.fromarray(portrait(2)).save(file, "PNG")
    return [upload(route, image=file.getvalue())]
