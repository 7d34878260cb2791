"""Encryption under one key, and the master key's file; knows no person and no database."""

import os
import re
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.gallery.records import DamagedError, GalleryError

KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
_HOW_TO_MAKE_ONE = "make one with: openssl rand -hex 32"


class Sealing:
    """AES-256-GCM (NIST SP 800-38D) under one key: a random nonce, the ciphertext, the tag.

    `context` says what is sealed and for whom: it must be the same when it is opened.
    """

    def __init__(self, key: bytes | bytearray) -> None:
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes | bytearray | memoryview, *context: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, _bound(context))

    def open(self, sealed: bytes, *context: str) -> bytearray:
        """Raises DamagedError. The caller may wipe what it gets."""
        plain = bytearray(max(0, len(sealed) - _NONCE_BYTES - _TAG_BYTES))
        self.open_into(memoryview(plain), sealed, *context)
        return plain

    def open_into(self, target: memoryview, sealed: bytes, *context: str) -> None:
        """Writes the plain bytes to `target` and nowhere else. Raises DamagedError; `target` may then hold anything."""
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            self._cipher.decrypt_into(nonce, ciphertext, _bound(context), target)
        except (InvalidTag, ValueError) as error:
            raise DamagedError from error

    def opened(self, sealed: bytes, *context: str) -> "Sealing":
        """The key that was sealed, for use; its bytes stay in the cipher alone. Raises DamagedError."""
        key = self.open(sealed, *context)
        if len(key) != KEY_BYTES:
            raise DamagedError
        sealing = Sealing(key)
        wipe(key)
        return sealing


def read_master_key(path: Path | None) -> Sealing:
    """The key in a file: 32 bytes in hex. Raises GalleryError."""
    if path is None:
        raise GalleryError(f"a gallery needs FACEPAIR_GALLERY_KEY_FILE; {_HOW_TO_MAKE_ONE} > gallery.key")
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise GalleryError(f"{path}: the gallery's key cannot be read; {_HOW_TO_MAKE_ONE} > {path}") from error
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise GalleryError(f"{path}: the gallery's key is not 32 bytes in hex; {_HOW_TO_MAKE_ONE} > {path}")
    return Sealing(bytes.fromhex(text))


def new_key() -> bytearray:
    return bytearray(os.urandom(KEY_BYTES))


def wipe(secret: bytearray) -> None:
    secret[:] = bytes(len(secret))


def _bound(context: tuple[str, ...]) -> bytes:
    return "\0".join(context).encode()
