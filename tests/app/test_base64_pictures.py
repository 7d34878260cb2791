"""Base64 is read in pieces as it would be at once, wherever a piece ends."""

import base64

import numpy as np
import pytest

from app import base64_pictures
from app.base64_pictures import NotBase64Error, decoded
from app.in_pieces import Pieces


def result(work: Pieces[bytes]) -> bytes:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return bytes(end.value)


def read(text: str) -> bytes:
    return result(decoded(memoryview(bytearray(text.encode()))))


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base64_pictures, "_PIECE", 16)


ESCAPES = [("/", "\\/"), ("+", "\\u002B"), ("/", "\\u002f"), ("A", "\\u0041"), ("=", "\\u003d")]


@pytest.mark.parametrize(("letter", "escape"), [("", ""), *ESCAPES])
def test_pieces_and_escapes_change_nothing(letter: str, escape: str, rng: np.random.Generator) -> None:
    for size in (*range(60), 1000):
        for picture in (rng.bytes(size), bytes(size), b"\xff" * size, b"\xfb\xef\xbe" * size):
            text = base64.b64encode(picture).decode()
            assert read(text.replace(letter, escape) if letter else text) == picture


WRONG = ["!", "=", "==", "=A", "-", "_", '"', "\n", "\\n", "\\", "\\\\", "\\\\/", "\\u00", '\\"', "\\ud83d", "é", "\0"]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_base64_is_refused_wherever_it_is(wrong: str) -> None:
    for before in range(40):
        for after in (3, 4, 40, 41, 42, 43):
            with pytest.raises(NotBase64Error):
                read("A" * before + wrong + "A" * after)


def test_base64_is_padded() -> None:
    for text in ("A", "AA", "AAA", "AA=", "A===", "=", "A" * 33):
        with pytest.raises(NotBase64Error):
            read(text)
