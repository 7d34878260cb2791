"""Reads lists of pairs in the format of Labeled Faces in the Wild. It opens no picture.

Huang et al., "Labeled Faces in the Wild" (2007); https://vis-www.cs.umass.edu/lfw/README.txt describes the lists.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.data.people import DataError, PeopleFolder

Picture: TypeAlias = tuple[str, int]
"""A person's name and the number of the picture: NAME/NAME_0001.jpg."""

_FOLDS = 10


@dataclass(frozen=True)
class PairList:
    """Pairs in the list's order: two pictures each, whether they show one person, and the fold (pairs,)."""

    first: tuple[Picture, ...]
    second: tuple[Picture, ...]
    genuine: NDArray[np.bool_]
    fold: NDArray[np.int64]

    @property
    def pictures(self) -> list[Picture]:
        return sorted({*self.first, *self.second})


def read(path: Path) -> PairList:
    """The first line says how many folds (none: one) of how many genuine and as many impostor pairs; one fold is
    dealt into ten. Raises DataError where the file is not such a list.
    """
    try:
        head, *rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        *folds, count = [int(number) for number in head]
        genuine = np.array([_is_genuine(row) for row in rows])
        pairs = [_pair(row) for row in rows]
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a list of pairs in LFW's format") from error
    sets = folds[0] if folds else 1
    if len(rows) != 2 * count * sets or genuine.sum() * 2 != len(rows):
        raise DataError(
            f"{path}: {len(rows)} pairs, of which {genuine.sum()} genuine, are not what its first line says"
        )
    fold = np.repeat(np.arange(sets), 2 * count) if sets > 1 else np.arange(len(rows)) % _FOLDS
    return PairList(tuple(first for first, _ in pairs), tuple(second for _, second in pairs), genuine, fold)


def _is_genuine(row: list[str]) -> bool:
    if len(row) not in (3, 4):
        raise ValueError("neither NAME I J nor NAME I NAME J")
    return len(row) == 3


def _pair(row: list[str]) -> tuple[Picture, Picture]:
    return ((row[0], int(row[1])), (row[-2] if len(row) == 4 else row[0], int(row[-1])))


def stem(picture: Picture) -> str:
    return f"{picture[0]}_{picture[1]:04d}"


def require_files(folder: PeopleFolder, lists: Sequence[PairList]) -> None:
    """Raises DataError, before any work, where pictures that a list names are not files of the folder."""
    there = {(name, path.stem) for name, files in folder.files.items() for path in files if path.exists()}
    wanted = sorted({picture for pair_list in lists for picture in pair_list.pictures})
    missing = [picture for picture in wanted if (picture[0], stem(picture)) not in there]
    if missing:
        raise DataError(
            f"{folder.path}: {len(missing)} of {len(wanted)} pictures that the list names are not there, the first of "
            f"them {missing[0][0]}/{stem(missing[0])}"
        )
