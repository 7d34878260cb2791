"""Who is in a folder of identities: names, files and fingerprints; decodes no picture."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

_FINGERPRINT_DIGITS = 12


class DataError(Exception):
    """The folder cannot be used; the message is one line, in the user's terms."""


def people_in(folder: Path) -> dict[str, list[Path]]:
    """The names of people's sub-folders with the files in each. Raises DataError without any."""
    if not folder.is_dir():
        raise DataError(f"no folder {folder}")
    people = (entry for entry in _sorted(folder) if entry.is_dir())
    found = {person.name: [path for path in _sorted(person) if not path.is_dir()] for person in people}
    if not found:
        raise DataError(f"{folder} holds no sub-folder of pictures a person")
    return found


def fingerprints_in(folder: Path) -> dict[str, str]:
    """The names of people with what a manifest knows them by. Raises DataError and OSError."""
    return {name: fingerprint(digest(path.read_bytes()) for path in files) for name, files in people_in(folder).items()}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def fingerprint(digests: Iterable[str]) -> str:
    """Of the digests of all of a person's files, in any order."""
    return digest("".join(sorted(digests)).encode())[:_FINGERPRINT_DIGITS]


def _sorted(folder: Path) -> list[Path]:
    """Entries in the order people number them: 2 before 10. Hidden ones are left out."""
    visible = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(visible, key=lambda p: [(not w.isdigit(), w.zfill(20)) for w in re.split(r"(\d+)", p.name)])
