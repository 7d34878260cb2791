"""Lists the people of a folder with their files and fingerprints. It decodes no picture."""

import errno
import hashlib
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from model.images import is_picture

_WHOLE_DIGITS = 12
_PICTURE_DIGITS = 10
"""40 bits: with 10,000 pictures on either side, the chance that two different ones share a digest is 1 in 11,000."""


LARGEST_FILE = 2**28
"""In bytes: more than 25 megapixels, the most that are decoded, have in any format."""


class DataError(Exception):
    """The folder cannot be used; the message is one line, in the user's terms."""


class NotAFile(OSError):  # noqa: N818 - named as reasons to skip a picture are
    """A device, a pipe or a socket, whose bytes need not end."""


class FileTooLarge(OSError):  # noqa: N818
    """More bytes than any picture has."""


@dataclass(frozen=True)
class Fingerprint:
    """What a manifest knows a person by: the files' bytes, whatever their names and their order.

    `pictures`: a short digest of each picture, ascending. `whole`: one digest of all files together, which is all that
    the manifests of older bundles recorded. Digests are hexadecimal; the two kinds differ in length.
    """

    whole: str
    pictures: tuple[str, ...]

    @classmethod
    def of(cls, files: Iterable[bytes]) -> Self:
        digests = [(digest(data), is_picture(data)) for data in files]
        whole = digest("".join(sorted(sha256 for sha256, _ in digests)).encode())[:_WHOLE_DIGITS]
        # A file that lies beside everybody's pictures, such as a licence, makes nobody known.
        return cls(whole, tuple(sorted(sha256[:_PICTURE_DIGITS] for sha256, picture in digests if picture)))

    @property
    def recorded(self) -> str:
        """The person's entry in a manifest."""
        return " ".join(self.pictures)

    def is_among(self, digests: Collection[str]) -> bool:
        """Whether one of the person's pictures is known, or all of them together are."""
        return self.whole in digests or any(picture in digests for picture in self.pictures)


class PeopleFolder:
    """One sub-folder of pictures a person. Names are read at once, each file's bytes when its person is asked about."""

    def __init__(self, path: Path) -> None:
        """Raises DataError where there is no folder, or nobody in it."""
        if not path.is_dir():
            raise DataError(f"no folder {path}")
        people = (entry for entry in _sorted(path) if entry.is_dir())
        self.path = path
        self.files: Mapping[str, Sequence[Path]] = {
            person.name: [file for file in _sorted(person) if not file.is_dir()] for person in people
        }
        if not self.files:
            raise DataError(f"{path} holds no sub-folder of pictures a person")
        self._fingerprints: dict[str, Fingerprint] = {}

    def fingerprint(self, name: str) -> Fingerprint:
        """Files that cannot be read are left out."""
        if name not in self._fingerprints:
            self._fingerprints[name] = Fingerprint.of(_readable(self.files[name]))
        return self._fingerprints[name]

    def known_to(self, digests: Collection[str]) -> set[str]:
        """Names of the people of whom a manifest's digests hold a picture."""
        return {name for name in self.files if self.fingerprint(name).is_among(digests)}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_file(path: Path) -> bytes:
    """The bytes of a file that may be a picture. Raises OSError: also NotAFile, FileTooLarge."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise NotAFile(errno.EINVAL, "not a regular file", str(path))
    if status.st_size > LARGEST_FILE:
        raise FileTooLarge(errno.EFBIG, f"larger than {LARGEST_FILE:,} bytes", str(path))
    return path.read_bytes()


def _readable(files: Iterable[Path]) -> Iterator[bytes]:
    for file in files:
        try:
            yield read_file(file)
        except OSError:
            continue


def _sorted(folder: Path) -> list[Path]:
    """Entries in the order people number them: 2 before 10. Hidden ones are left out."""
    visible = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(visible, key=lambda p: [(not w.isdigit(), w.zfill(20)) for w in re.split(r"(\d+)", p.name)])
