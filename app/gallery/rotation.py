"""A gallery under another master key: keys are sealed anew, vectors stay as they are; knows no file."""

from app.gallery import audit
from app.gallery.database import Connection
from app.gallery.register import Register
from app.gallery.sealing import Sealing


def rotate(register: Register, master: Sealing) -> int:
    """Seals every person's key and the gallery's own with `master`; gives how many. All or nothing.

    Services must be started anew with it. Without the old key, backups of before are closed for ever, and with them
    everybody who was erased since. Raises DamagedError where a key does not open.
    """

    def work(connection: Connection) -> int:
        people = connection.execute("SELECT person_id, key FROM people")
        for person_id, sealed in people:
            key = register.master.open(sealed, "key", person_id)
            connection.erase(
                "UPDATE people SET key = ? WHERE person_id = ?", (master.seal(key, "key", person_id), person_id)
            )
        connection.erase("UPDATE gallery SET secrets = ?", (register.hashes.sealed(master),))
        audit.append(connection, register.hashes, register.clock(), "operator", "rotate_key", "", f"{len(people)} keys")
        return len(people)

    return register.database.write(work)
