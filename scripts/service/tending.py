"""Works on a gallery's database itself: export, import, another master key, the audit. It asks no service."""

import argparse
import sys

import terminal
from tqdm import tqdm

from app.gallery import audit
from app.gallery.database import Database
from app.gallery.gallery import open_database, prepared
from app.gallery.records import DamagedError, GalleryError, GalleryFull, GalleryUnavailable, Limits
from app.gallery.register import Register
from app.gallery.rotation import rotate
from app.gallery.sealing import Sealing, read_master_key
from app.gallery.transfer import export, import_line
from app.settings import SettingsError, read_settings


def tend(options: argparse.Namespace) -> None:
    """Carries out the command on the gallery that the settings name, and ends with one line where it cannot."""
    try:
        _tend(options)
    except GalleryUnavailable:
        sys.exit("error: the gallery's database does not answer")
    except GalleryFull:
        sys.exit("error: the gallery is full: see FACEPAIR_MAX_PEOPLE and FACEPAIR_MAX_PHOTOS")
    except DamagedError:
        sys.exit("error: a person's key is damaged: GET /gallery names who; erase and enrol again")
    except (GalleryError, SettingsError) as error:
        sys.exit(f"error: {error}")


def _tend(options: argparse.Namespace) -> None:
    settings = read_settings()
    if settings.gallery is None:
        raise GalleryError("FACEPAIR_GALLERY is not set: which gallery?")
    master = read_master_key(settings.gallery_key_file)
    database = open_database(settings.gallery)
    try:
        register = _register(database, master, Limits(settings.max_people, settings.max_photos))
        _carry_out(register, options)
    finally:
        database.close()


def _carry_out(register: Register, options: argparse.Namespace) -> None:
    if options.command == "export":
        register.record("operator", "export", "begun")
        with terminal.replacing(options.file) as scratch, scratch.open("wb") as file:
            scratch.chmod(0o600)
            file.writelines(export(register))
        print(f"wrote {options.file}: vectors in the clear")
    elif options.command == "import":
        with options.file.open("rb") as lines:
            people = [import_line(register, line, "operator") for line in tqdm(lines, unit="person", disable=None)]
        print(f"{len(people)} people are in the gallery")
    elif options.command == "rotate-key":
        print(
            f"sealed {rotate(register, read_master_key(options.new_key_file))} keys anew: start services with that file"
        )
    else:
        entries = register.database.read(lambda connection: list(audit.verify(connection, register.hashes)))
        for entry in entries:
            print(f"{entry.number} {entry.at} {entry.caller} {entry.action} {entry.person} {entry.outcome}")
        print(f"the chain of {len(entries)} entries is whole", file=sys.stderr)


def _register(database: Database, master: Sealing, limits: Limits) -> Register:
    hashes = database.write(lambda connection: prepared(connection, database.dialect, master))
    return Register(database, master, hashes, limits)
