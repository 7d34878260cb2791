"""Shares what scripts do at the terminal: sub-commands, progress, one-line errors, files replaced whole."""

import argparse
import os
import secrets
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from tqdm import tqdm

from model.data.people import DataError, PeopleFolder
from model.manifest import BundleError, Manifest

if TYPE_CHECKING:
    from model.data.dataset import Dataset  # needs torch, for which scripts that need none would wait for seconds


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the script with exit status 1 and one clear line on a fault of the input or the disk."""
    try:
        yield
    except (BundleError, DataError, OSError, ValueError, tarfile.TarError, zipfile.BadZipFile) as error:
        sys.exit(f"error: {'; '.join(str(error).splitlines())}")


class Command(Protocol):
    """A module that carries out one sub-command; its docstring is the help."""

    __doc__: str | None

    def add_flags(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, options: argparse.Namespace) -> None: ...


def run_command(description: str, commands: Mapping[str, Command], arguments: Sequence[str] | None = None) -> None:
    """Runs the sub-command that the command line (or `arguments`) names, each with flags of its own."""
    parser = argparse.ArgumentParser(description=description)
    choices = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, command in commands.items():
        about = (command.__doc__ or "").replace("%", "%%")
        own = choices.add_parser(name, help=about.splitlines()[0], description=about)
        command.add_flags(own)
        own.set_defaults(run=command.run)
    options = parser.parse_args(arguments)
    options.run(options)


def positive(text: str) -> int:
    """Parses an option that is a whole number above zero."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above zero")
    return int(text)


def require_writable(folder: Path) -> None:
    """Raises DataError, before any work, where nothing could be written to `folder`; makes nothing itself."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise DataError(f"cannot write to {folder}: {there} is not a folder")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise DataError(f"cannot write to {folder}: {error.strerror}") from error


def progress(unit: str) -> Callable[[Iterable[Any]], Iterable[Any]]:
    """Wraps work with a progress bar, shown only at a terminal."""
    return lambda items: tqdm(items, unit=unit, leave=False, disable=None)


def show_skipped(dataset: "Dataset") -> None:
    """Lists every picture and person that was left out, with the reason, and counts them."""
    for left_out in dataset.skipped:
        print(f"skipped {left_out.path}: {left_out.reason}")
    people, pictures, skipped = len(dataset.people), len(dataset.labels), len(dataset.skipped)
    print(f"{dataset.name}: {people} people, {pictures} pictures, {skipped} skipped")


def show_shared(manifests: Sequence[Manifest], folder: PeopleFolder, names: Collection[str]) -> None:
    """Says how many of the people that are measured also chose thresholds."""
    from model.evaluation.scoring import who_chose  # needs torch

    chose = len(who_chose(manifests, folder, names))
    if chose:
        print(f"{chose} of these {len(names)} people also chose the thresholds: too few others to measure on alone")


def show_unknown(names: Sequence[str], path: Path) -> None:
    """Lists the names in the file at `path` that no person bears."""
    if names:
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        print(f"{path.name}: nobody is called {', '.join(names[:10])}{more}")


@contextmanager
def replacing(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when all went well, and is gone otherwise.

    `mode`: who may use it, less what the process's umask forbids.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name that nobody can foresee: who may write to the folder could have put a link there, or a file to read from.
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        with open(scratch, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
