"""The audit says who did what; whoever changes it afterwards is found out."""

import pytest
from galleries import Galleries, enrol, put

from app.gallery import audit
from app.gallery.audit import Entry
from app.gallery.gallery import Gallery
from app.gallery.register import Register


def entries(register: Register) -> list[Entry]:
    return register.database.read(lambda connection: list(audit.verify(connection, register.hashes)))


def history(galleries: Galleries) -> Gallery:
    gallery = galleries.open()
    put(gallery, "E1", "A")
    enrol(gallery, "E1", 1, 2)
    gallery.register.erase_photo("E1", "ph_1", "boris")
    gallery.register.erase("E1", "anna")
    return gallery


def test_every_change_is_an_entry_that_names_nobody(galleries: Galleries) -> None:
    gallery = history(galleries)
    put(gallery, "E2")
    put(gallery, "E2")  # nothing new
    listed = entries(gallery.register)
    assert [(entry.caller, entry.action, entry.outcome) for entry in listed] == [
        ("anna", "put", "created"),
        ("anna", "enrol", "enrolled"),
        ("boris", "erase_photo", "erased"),
        ("anna", "erase", "erased 1 photos"),
        ("anna", "put", "created"),
    ]
    assert [entry.number for entry in listed] == [1, 2, 3, 4, 5]
    people = [entry.person for entry in listed]
    assert len(set(people[:4])) == 1
    assert people[4] != people[0]
    assert not any("E1" in str(value) or "E2" in str(value) for entry in listed for value in vars(entry).values())


TAMPERINGS = {
    "changed": "UPDATE audit SET caller = 'eve' WHERE number = 2",
    "the last taken away": "DELETE FROM audit WHERE number = 4",
    "one taken away": "DELETE FROM audit WHERE number = 2",
    "the first taken away": "DELETE FROM audit WHERE number = 1",
    "added": "INSERT INTO audit SELECT 5, at, caller, action, person, outcome, mac FROM audit WHERE number = 4",
    "renumbered": "UPDATE audit SET number = 9 WHERE number = 4",
}


@pytest.mark.parametrize("how", TAMPERINGS)
def test_what_was_tampered_with_is_found(galleries: Galleries, how: str) -> None:
    register = history(galleries).register
    assert len(entries(register)) == 4
    register.database.write(lambda connection: connection.execute(TAMPERINGS[how]))
    with pytest.raises(ValueError, match="the audit"):
        entries(register)


def test_entries_come_in_pages(galleries: Galleries) -> None:
    register = history(galleries).register
    rows = register.database.read(lambda connection: list(audit._rows(connection, page=3)))
    assert [row[0] for row in rows] == [1, 2, 3, 4]
