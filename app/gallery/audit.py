"""Who changed what and when: append-only entries in a chain; knows no photo, vector or distance."""

import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from app.gallery.database import Connection, Row, of_gallery
from app.gallery.keyed_hashes import KeyedHashes
from app.gallery.records import to_text

START = b""
"""Before the first entry."""
ERASED = ("erase", "expire")
"""Actions after which a person is gone."""


@dataclass(frozen=True)
class Entry:
    """`person`: a keyed hash of the id, so that an entry outlives the person without naming them."""

    number: int
    at: str
    caller: str
    action: str
    person: str
    outcome: str


def append(
    connection: Connection, hashes: KeyedHashes, at: datetime, caller: str, action: str, person_id: str, outcome: str
) -> int:
    """Adds an entry and gives its number, which is the gallery's new revision."""
    revision, head = of_gallery(connection, "revision, head")
    entry = Entry(revision + 1, to_text(at), caller, action, hashes.pseudonym(person_id), outcome)
    mac = _mac(hashes, head, entry)
    connection.execute(
        "INSERT INTO audit (number, at, caller, action, person, outcome, mac) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*vars(entry).values(), mac),
    )
    connection.execute("UPDATE gallery SET revision = ?, head = ?", (entry.number, mac))
    return entry.number


def verify(connection: Connection, hashes: KeyedHashes) -> Iterator[Entry]:
    """All entries in order. Raises ValueError, which names the first that was changed, added or taken away.

    Whoever can write the database and holds the master key can make another chain; without the key nobody can.
    A whole database that was put back to an older state holds an older chain: compare the last number with a receipt.
    """
    head, number = START, 0
    for row in _rows(connection):
        entry, mac = Entry(*row[:6]), row[6]
        if entry.number != number + 1 or not hmac.compare_digest(mac, _mac(hashes, head, entry)):
            raise ValueError(f"the audit is broken at entry {number + 1}")
        head, number = mac, entry.number
        yield entry
    if of_gallery(connection, "revision, head") != (number, head):
        raise ValueError(f"the audit ends at entry {number}, but the gallery has changed since")


def _rows(connection: Connection, page: int = 1000) -> Iterator[Row]:
    last = 0
    while True:
        rows = connection.execute(
            "SELECT number, at, caller, action, person, outcome, mac FROM audit WHERE number > ? "
            "ORDER BY number LIMIT ?",
            (last, page),
        )
        yield from rows
        if len(rows) < page:
            return
        last = rows[-1][0]


def _mac(hashes: KeyedHashes, head: bytes, entry: Entry) -> bytes:
    return hashes.chained(head, json.dumps(list(vars(entry).values())).encode())
