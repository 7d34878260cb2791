"""What the scripts share at the terminal: progress, skipped data, faults as one line, files replaced whole."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from model.bundle import BundleError
from model.data import Dataset
from model.people import DataError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the script with exit status 1 and one clear line on a fault of the input or the disk."""
    try:
        yield
    except (BundleError, DataError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")


def progress(unit: str) -> Callable[[Iterable[Any]], Iterable[Any]]:
    """Wraps work to show a bar, where somebody is watching."""
    return lambda items: tqdm(items, unit=unit, leave=False, disable=None)


def show_skipped(dataset: Dataset) -> None:
    """Lists every picture and person that was left out, with the reason, and counts them."""
    for left_out in dataset.skipped:
        print(f"skipped {left_out.path}: {left_out.reason}")
    people, pictures, skipped = len(dataset.people), len(dataset.labels), len(dataset.skipped)
    print(f"{dataset.name}: {people} people, {pictures} pictures, {skipped} skipped")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A scratch path that takes the place of `path` when all went well, and is gone otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.partial")
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
