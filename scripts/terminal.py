"""What the scripts share at the terminal: skipped data shown, faults as one line, files written whole."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.bundle import BundleError
from model.data import DataError, Dataset


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the script with exit status 1 and one clear line on a fault of the input or the disk."""
    try:
        yield
    except (BundleError, DataError, OSError) as error:
        sys.exit(f"error: {error}")


def show_skipped(dataset: Dataset) -> None:
    """Lists every picture and person that was left out, with the reason, and counts them."""
    for left_out in dataset.skipped:
        print(f"skipped {left_out.path}: {left_out.reason}")
    people, pictures, skipped = len(dataset.people), len(dataset.labels), len(dataset.skipped)
    print(f"{dataset.name}: {people} people, {pictures} pictures, {skipped} skipped")


def write_text(path: Path, text: str) -> None:
    """Replaces the file as a whole, or leaves it as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.partial")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)
