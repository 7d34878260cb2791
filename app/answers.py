"""What commands believe of an answer, and how they print it; knows no network.

Whoever answers at an address need not be Facepair: an answer of another form is none, least of all "same person".
"""

import json
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import msgspec

from app.malformed_json import MALFORMED

Word = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_]{1,64}\Z")]
Form = TypeVar("Form", bound=msgspec.Struct)
_LARGEST = 2**20  # bytes of an answer; Facepair's have thousands
_LONGEST = 500  # characters of a problem's text


class CommandError(Exception):
    """The question cannot be asked or was refused; the message is one line."""


class _OperatingPoint(msgspec.Struct):
    fmr: float
    fnmr: float


class _Face(msgspec.Struct):
    warnings: list[Word]


class _Faces(msgspec.Struct):
    image1: _Face
    image2: _Face


class Verification(msgspec.Struct):
    """What the verdict needs."""

    same: bool
    distance: float
    threshold: float
    operating_point: _OperatingPoint
    faces: _Faces

    def __str__(self) -> str:
        point = self.operating_point
        lines = [
            f"{'same person' if self.same else 'different people'}: distance {self.distance:.4f}, "
            f"threshold {self.threshold:.4f} at FMR {point.fmr:g} (FNMR {point.fnmr:.2g})"
        ]
        faces = {"image1": self.faces.image1, "image2": self.faces.image2}
        lines += [
            f"{name}: {', '.join(face.warnings).replace('_', ' ')}" for name, face in faces.items() if face.warnings
        ]
        return "\n".join(lines)


class Embedding(msgspec.Struct):
    embedding: Annotated[list[float], msgspec.Meta(min_length=1)]

    def __str__(self) -> str:
        return " ".join(map(str, self.embedding))


class _Problem(msgspec.Struct):
    code: Word
    detail: str
    image: Word | None = None


Answer = Verification | Embedding
FORMS: dict[str, type[Answer]] = {"verify": Verification, "embed": Embedding}


def read(status: int, body: bytes, form: type[Form], success: HTTPStatus = HTTPStatus.OK) -> tuple[Form, str]:
    """The answer, and all of it as JSON. Raises CommandError where it is a problem, or no answer of Facepair."""
    try:
        whole: Any = msgspec.json.decode(body)
        if status == success:
            return msgspec.convert(whole, form), json.dumps(whole)  # ASCII, with every control character escaped
        problem = msgspec.convert(whole, _Problem)
    except MALFORMED:
        raise not_facepairs(f"status {status}") from None
    place = f"{problem.image}: " if problem.image else ""
    raise CommandError(f"{place}{problem.detail[:_LONGEST]} ({problem.code})")


def take(body: bytearray, piece: bytes) -> None:
    """Adds the next piece of an answer. Raises CommandError where it becomes too large."""
    body += piece
    if len(body) > _LARGEST:
        raise not_facepairs(f"more than {_LARGEST:,} bytes")


def not_facepairs(reason: str) -> CommandError:
    return CommandError(f"the answer is not Facepair's: {reason}")


def one_line(error: BaseException) -> str:
    """Its message as a terminal may show it."""
    return printable(str(error) or type(error).__name__)


def printable(text: str) -> str:
    """As a terminal may show it: a server's text and files' names hold line ends, escapes and what runs backwards."""
    return "".join(each if each.isprintable() else " " for each in text)
