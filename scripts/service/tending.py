"""Works on a gallery's database itself: export, import, another master key, the audit. It asks no service."""

import argparse
import sys
from pathlib import Path

import terminal
from tqdm import tqdm

from app.gallery import audit
from app.gallery.database import Database
from app.gallery.gallery import open_database, prepared
from app.gallery.lines import Space, read_line
from app.gallery.records import (
    DamagedError,
    GalleryError,
    GalleryFull,
    GalleryUnavailable,
    Limits,
    PersonNotFound,
)
from app.gallery.register import Register
from app.gallery.rotation import rotate
from app.gallery.sealing import Sealing, read_master_key
from app.gallery.transfer import export, put_line
from app.settings import Settings, SettingsError, read_settings
from model import manifest

_FULL = "the gallery is full: see FACEPAIR_MAX_PEOPLE and FACEPAIR_MAX_PHOTOS"
_DAMAGED = "a person's key is damaged: GET /gallery names who; erase and enrol again"


def tend(options: argparse.Namespace) -> None:
    """Carries out the command on the gallery that the settings name, and ends with one line where it cannot."""
    try:
        _tend(options)
    except DamagedError:
        sys.exit(f"error: {_DAMAGED}")
    except (GalleryError, GalleryUnavailable, SettingsError) as error:
        sys.exit(f"error: {error}")


def _tend(options: argparse.Namespace) -> None:
    settings = read_settings()
    if settings.gallery is None:
        raise GalleryError("FACEPAIR_GALLERY is not set: which gallery?")
    master = read_master_key(settings.gallery_key_file)
    database = open_database(settings.gallery)
    try:
        register = _register(database, master, Limits(settings.max_people, settings.max_photos))
        _carry_out(register, settings, options)
    finally:
        database.close()


def _carry_out(register: Register, settings: Settings, options: argparse.Namespace) -> None:
    if options.command == "export":
        register.record("operator", "export", "begun")
        with terminal.replacing(options.file, mode=0o600) as file:
            file.writelines(export(register))
        print(f"wrote {options.file}: vectors in the clear")
    elif options.command == "import":
        _import(register, _space(settings), options.file)
    elif options.command == "rotate-key":
        print(
            f"sealed {rotate(register, read_master_key(options.new_key_file))} keys anew: start services with that file"
        )
    else:
        entries = register.database.read(lambda connection: list(audit.verify(connection, register.hashes)))
        for entry in entries:
            print(f"{entry.number} {entry.at} {entry.caller} {entry.action} {entry.person} {entry.outcome}")
        print(f"the chain of {len(entries)} entries is whole", file=sys.stderr)


def _import(register: Register, space: Space, file: Path) -> None:
    """Ends at the first line that is wrong; those before it stay. Raises GalleryError, which says which line it is."""
    people = over = 0
    with file.open("rb") as lines:
        for number, line in enumerate(tqdm(lines, unit="person", disable=None), 1):
            try:
                person = read_line(line, space)
                put_line(register, person, "operator")
                people += 1
            except PersonNotFound:
                over += 1
                tqdm.write(f"skipped {person.person_id}: expires_at is over")
            except GalleryFull:
                raise GalleryError(f"line {number}: {_FULL}") from None
            except DamagedError:
                raise GalleryError(f"line {number}: {_DAMAGED}") from None
            except (GalleryError, GalleryUnavailable) as error:
                raise GalleryError(f"line {number}: {error}") from error
    print(f"{people} people are in the gallery" + (f", {over} skipped" if over else ""))


def _space(settings: Settings) -> Space:
    """Of the bundle that the settings name. Raises BundleError."""
    from model import bundle  # needs what runs networks, for which the other commands would wait

    served = manifest.read(bundle.find(settings.bundle))
    return Space(manifest.contract_id(served), served.embedding_size, served.normalized)


def _register(database: Database, master: Sealing, limits: Limits) -> Register:
    hashes = database.write(lambda connection: prepared(connection, database.dialect, master))
    return Register(database, master, hashes, limits)
