"""What a gallery calls photos and people outside themselves: keyed hashes, and the audit's chain; knows no database."""

import hmac

from app.gallery.sealing import Sealing, new_key

_CONTEXT = "the gallery's own key"


class KeyedHashes:
    """HMAC-SHA256 under a key of the gallery's own: kept in it, sealed, and the same when the master key changes."""

    def __init__(self, key: bytes | bytearray) -> None:
        self._key = bytes(key)
        self._keyed = hmac.new(self._key, digestmod="sha256")  # copies of it cost less than the key each time

    @classmethod
    def new(cls) -> "KeyedHashes":
        return cls(new_key())

    @classmethod
    def unsealed(cls, master: Sealing, sealed: bytes) -> "KeyedHashes":
        """Raises DamagedError where the master key is another."""
        return cls(master.open(sealed, _CONTEXT))

    def same_as(self, other: "KeyedHashes") -> bool:
        return hmac.compare_digest(self._key, other._key)

    def sealed(self, master: Sealing) -> bytes:
        return master.seal(self._key, _CONTEXT)

    def photo_id(self, person_id: str, picture: bytes) -> str:
        """The same for the same file of the same person; says nothing to who has not the key."""
        return "ph_" + self._hash("photo", person_id.encode(), picture).hex()[:32]

    def pseudonym(self, person_id: str) -> str:
        return self._hash("person", person_id.encode()).hex()[:32]

    def chained(self, head: bytes, entry: bytes) -> bytes:
        """What the next entry's hash depends on: this entry, and all before it."""
        return self._hash("audit", head, entry)

    def _hash(self, purpose: str, *parts: bytes) -> bytes:
        """Each part goes with its length before it, so that no two lists of parts are alike."""
        keyed = self._keyed.copy()
        keyed.update(b"".join([len(part).to_bytes(8, "big") + part for part in (purpose.encode(), *parts)]))
        return keyed.digest()
