"""A bundle that tells drawn people apart: random weights, with thresholds from the people's own pictures."""

from pathlib import Path

import makers
import numpy as np

from app.settings import Settings
from model import bundle
from model.data.pairs import all_pairs
from model.embedding.embedder import Embedder
from model.evaluation.calibration import calibrate
from model.evaluation.scoring import score
from model.faces.face import read_face
from model.manifest import DataSource

PEOPLE, PICTURES = 60, 2
FIRST = 1000
"""The calibration's people: others than the tests'."""


APART = (76, 233, 135, 266, 95, 119, 277, 58, 24, 190, 116, 106, 156, 218, 154, 164, 85, 283, 43, 33, 99, 253, 83, 196)
"""Drawn people whom these weights tell apart at every threshold."""


def picture(person: int, number: int = 0) -> bytes:
    """Of one of the people above, by the place there."""
    return makers.encoded(makers.face(APART[person], number), "PPM")


def save_bundle(folder: Path) -> Path:
    made = makers.make_bundle(folder.name)
    embedder = Embedder(made)
    people = [FIRST + person for person in range(PEOPLE) for _ in range(PICTURES)]
    pictures = [makers.encoded(makers.face(person, number % PICTURES), "PPM") for number, person in enumerate(people)]
    crops = [read_face(data, embedder.faces).crop for data in pictures]
    labels = np.repeat(np.arange(PEOPLE), PICTURES)
    scores = score(embedder.embed(np.stack(crops)), labels, all_pairs(labels))
    data = DataSource("drawn", "0" * 64, len(people), tuple(f"{person:012x}" for person in range(PEOPLE)))
    made = makers.make_bundle(folder.name, calibration=calibrate(scores, data))
    bundle.save(folder, made)
    return folder


def settings(folder: Path, where: Path, **given: object) -> Settings:
    """With a gallery in the folder `where`."""
    key = where / "gallery.key"
    key.write_text("00" * 32 + "\n")
    values = {"bundle": str(folder), "gallery": f"sqlite:///{where / 'gallery.db'}", "gallery_key_file": key}
    return Settings(**{**values, "fpir": 0.1, **given})  # type: ignore[arg-type]
