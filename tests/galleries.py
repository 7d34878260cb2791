"""Galleries as the tests open them: one key, short vectors, a clock that is set by hand."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from app.gallery.gallery import Gallery, open_database, open_gallery
from app.gallery.records import Limits, NewPhoto, Profile
from app.gallery.sealing import Sealing

DIMENSION = 8
CONTRACT = "sha256:ours"
KEY = bytes(range(32))
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
QUALITY = {"size_px": 120, "sharpness": 0.7, "brightness": 0.5}


class Galleries:
    """Opens one database as often as asked, as replicas and later starts do."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.now = START
        self._open: list[Gallery] = []

    def open(
        self, key: bytes = KEY, contract_id: str = CONTRACT, limits: Limits | None = None, dimension: int = DIMENSION
    ) -> Gallery:
        database = open_database(self.url)
        try:
            gallery = open_gallery(database, Sealing(key), contract_id, dimension, limits or Limits(), lambda: self.now)
        except BaseException:
            database.close()
            raise
        self._open.append(gallery)
        return gallery

    def wait(self, **time: float) -> None:
        self.now += timedelta(**time)

    def close(self) -> None:
        for gallery in self._open:
            gallery.close()


def vector(seed: int, dimension: int = DIMENSION) -> NDArray[np.float32]:
    """A unit vector."""
    values = np.random.default_rng(seed).normal(size=dimension)
    return (values / np.linalg.norm(values)).astype(np.float32)


def photo(photo_id: str, values: NDArray[np.float32], warnings: Sequence[str] = ()) -> NewPhoto:
    return NewPhoto(photo_id, memoryview(values.data).cast("B"), QUALITY, tuple(warnings))


def enrol(gallery: Gallery, person_id: str, *seeds: int, contract_id: str = CONTRACT) -> None:
    photos = [photo(f"ph_{seed}", vector(seed)) for seed in seeds]
    gallery.register.enrol(person_id, photos, contract_id, "anna", "enrolled")


def put(gallery: Gallery, person_id: str, name: str | None = None, until: datetime | None = None) -> None:
    gallery.register.put(person_id, Profile(name), until, "anna")
