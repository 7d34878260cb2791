"""Loads a folder of identities (one sub-folder a person) as labelled crops. It knows no network."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.data.people import DataError, Fingerprint, PeopleFolder, digest, read_file
from model.faces.face import Face, FaceFinder, FaceWarning, NoFaceFound, Quality, read_face
from model.images import InvalidImage, UnsupportedFormat
from model.manifest import DataSource

Indices: TypeAlias = NDArray[np.int64]
Progress: TypeAlias = Callable[[Sequence[Path]], Iterable[Path]]
"""Wraps the work list to show progress; `iter` shows none."""


@dataclass(frozen=True)
class Skipped:
    path: Path
    reason: str


NO_PICTURE = UnsupportedFormat.__name__
TOO_FEW_PICTURES = "TooFewPictures"
"""The reason where a person is skipped, not a file."""


@dataclass(frozen=True)
class Dataset:
    """Crops of people. `labels` are indices into `people`, in ascending order."""

    name: str
    people: tuple[str, ...]
    fingerprints: tuple[Fingerprint, ...]  # one a person, of that person's files, whether they gave a crop or not
    crops: NDArray[np.uint8]  # (pictures, channels, height, width)
    labels: Indices  # (pictures,)
    files: tuple[str, ...]  # (pictures,) names without their folder
    qualities: tuple[Quality, ...]  # (pictures,)
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[tuple[FaceWarning, ...], ...] = ()  # (pictures,), where they were kept
    lost: tuple[tuple[str, int], ...] = ()  # people of whom no picture gave a crop, and how many pictures that were

    @property
    def source(self) -> DataSource:
        """What a manifest records of this data."""
        whole = digest("".join(fingerprint.whole for fingerprint in self.fingerprints).encode())
        return DataSource(
            self.name, whole, len(self.labels), tuple(fingerprint.recorded for fingerprint in self.fingerprints)
        )

    def known_to(self, digests: Collection[str]) -> int:
        """The number of people of whom a manifest's digests hold a picture."""
        return sum(fingerprint.is_among(digests) for fingerprint in self.fingerprints)

    def of(self, chosen: Sequence[int] | Indices) -> "Dataset":
        """Keeps only these people (indices into `people`), in this order."""
        rows = [np.flatnonzero(self.labels == person) for person in chosen]
        pictures = np.concatenate(rows)
        return replace(
            self,
            people=tuple(self.people[person] for person in chosen),
            fingerprints=tuple(self.fingerprints[person] for person in chosen),
            crops=self.crops[pictures],
            labels=np.repeat(np.arange(len(rows)), [len(row) for row in rows]),
            files=tuple(self.files[picture] for picture in pictures),
            qualities=tuple(self.qualities[picture] for picture in pictures),
            warnings=tuple(self.warnings[picture] for picture in pictures) if self.warnings else (),
            lost=(),
        )


def load(
    folder: PeopleFolder,
    faces: FaceFinder,
    min_pictures: int = 1,
    progress: Progress = iter,
    only: Collection[str] | None = None,
) -> Dataset:
    """Reads, decodes and crops every picture once, by the same code that serves requests.

    `only`: the names of people, if not all. Pictures that cannot be used, and people with fewer than `min_pictures`
    good ones, are skipped and listed. Raises DataError where fewer than two people are left.
    """
    chosen_people = {*(folder.files if only is None else only)}
    files = {person: paths for person, paths in folder.files.items() if person in chosen_people}
    read: dict[str, list[_Picture]] = {person: [] for person in files}
    skipped: list[Skipped] = []
    for path in progress([path for paths in files.values() for path in paths]):
        try:
            read[path.parent.name].append(_read(path, faces))
        except OSError as error:
            skipped.append(Skipped(path, type(error).__name__))
    pictures = {person: [picture for picture in read[person] if picture.face] for person in read}
    skipped += [Skipped(folder.path / person / p.name, p.fault) for person in read for p in read[person] if not p.face]
    people = [person for person in read if len(pictures[person]) >= min_pictures]
    skipped += [Skipped(folder.path / person, TOO_FEW_PICTURES) for person in read if person not in people]
    if len(people) < 2:
        raise DataError(f"{folder.path}: {len(people)} people with {min_pictures} or more usable pictures, need two")
    chosen = [picture for person in people for picture in pictures[person]]
    return Dataset(
        name=folder.path.name,
        people=tuple(people),
        fingerprints=tuple(folder.fingerprint(person) for person in people),
        crops=np.stack([picture.face.crop for picture in chosen if picture.face]),
        labels=np.repeat(np.arange(len(people)), [len(pictures[person]) for person in people]),
        files=tuple(picture.name for picture in chosen),
        qualities=tuple(picture.face.quality for picture in chosen if picture.face),
        warnings=tuple(picture.face.warnings for picture in chosen if picture.face),
        skipped=tuple(skipped),
        lost=_lost([person for person in read if not pictures[person]], skipped),
    )


def _lost(people: Sequence[str], skipped: Sequence[Skipped]) -> tuple[tuple[str, int], ...]:
    apart = (NO_PICTURE, TOO_FEW_PICTURES)
    failed = Counter(left_out.path.parent.name for left_out in skipped if left_out.reason not in apart)
    return tuple((person, failed[person]) for person in people if failed[person])


@dataclass(frozen=True)
class _Picture:
    name: str
    face: Face | None
    fault: str = ""


def _read(path: Path, faces: FaceFinder) -> _Picture:
    data = read_file(path)
    try:
        return _Picture(path.name, read_face(data, faces))
    except (InvalidImage, NoFaceFound) as error:
        return _Picture(path.name, None, type(error).__name__)
