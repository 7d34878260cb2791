"""Who is calling: API keys, known by their digests only; knows no route and no quota."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from starlette.datastructures import Headers

KEYLESS = "keyless"
"""The caller's name where no keys are set."""
_RESERVED = frozenset({KEYLESS, "facepair", "operator"})
"""No key's name: in quotas, log and audit they mean who has no key, the service, and who works at its command line."""
_MAX_KEY_BYTES = 512
SCOPES = frozenset({"verify", "identify", "enrol", "export"})
"""What a key may be for. Only the first concerns a service without a gallery."""
_DEFAULT_SCOPES = frozenset({"verify"})
_LINE = re.compile(r"(?P<digest>[0-9a-fA-F]{64})(?:\s+(?P<name>[\w.@-]{1,64})(?:\s+(?P<scopes>[a-z,]{1,64}))?)?")


class KeysError(Exception):
    """The file of keys cannot be used; the message is one line."""


class UnauthorizedError(Exception):
    """The caller has shown no key, not exactly one, or one that is not known."""

    def __init__(self) -> None:
        super().__init__("unauthorized")
        self.headers = {"WWW-Authenticate": "Bearer"}


class ForbiddenError(Exception):
    """The caller's key is not for this."""


@dataclass(frozen=True)
class Key:
    """The SHA-256 of a key, and what it is for."""

    digest: bytes
    scopes: frozenset[str] = _DEFAULT_SCOPES


class Keys:
    """Keys by their owners' names. Without any, only this machine is served, unless `allow_keyless`."""

    def __init__(self, keys: Mapping[str, Key], allow_keyless: bool = False) -> None:
        self._secret = secrets.token_bytes(32)
        self._owners = {self._index(key.digest): (name, key.digest) for name, key in keys.items()}
        self._scopes = {name: key.scopes for name, key in keys.items()}
        self._allow_keyless = allow_keyless

    def caller(self, headers: Headers, host: str | None) -> str:
        """The name of who calls from `host`. Raises UnauthorizedError."""
        if self._owners:
            return self._owner(hashlib.sha256(_shown(headers)).digest())
        if self._allow_keyless or _is_this_machine(host):
            return KEYLESS
        raise UnauthorizedError

    def require(self, scope: str, caller: str) -> None:
        """Raises ForbiddenError where the key of this name is not for that; who needs no key may do all."""
        if self._owners and scope not in self._scopes[caller]:
            raise ForbiddenError

    def _owner(self, digest: bytes) -> str:
        name, known = self._owners.get(self._index(digest), ("", b""))
        if not hmac.compare_digest(digest, known):
            raise UnauthorizedError
        return name

    def _index(self, digest: bytes) -> bytes:
        """Where the table has a digest, under a secret of this process: how long it takes to find tells nothing."""
        return hashlib.blake2b(digest, key=self._secret, digest_size=16).digest()


def read_keys(path: Path) -> dict[str, Key]:
    """The keys in a file, by name: a line is a key's SHA-256 in hex, a name and scopes (verify). Raises KeysError.

    Name and scopes may be left out; scopes are separated by commas.
    """
    try:
        # What else splits lines may stand in a comment, before what would be a key.
        lines = path.read_bytes().decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise KeysError(f"{path}: the file of API keys cannot be read") from error
    keys: dict[str, Key] = {}
    digests: set[bytes] = set()
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        scopes = frozenset(found["scopes"].split(",")) if found and found["scopes"] else _DEFAULT_SCOPES
        if found is None or not scopes <= SCOPES:
            raise KeysError(f"{path}, line {number}: not the SHA-256 of a key in hex, a name and scopes")
        if found["name"] in _RESERVED:
            raise KeysError(f"{path}, line {number}: no key may be named {found['name']}")
        name, key = found["name"] or f"key-{number}", Key(bytes.fromhex(found["digest"]), scopes)
        if name in keys or key.digest in digests:
            raise KeysError(f"{path}, line {number}: a name or a key is there twice")
        keys[name] = key
        digests.add(key.digest)
    if not keys:
        raise KeysError(f"{path}: there is no key in it")
    return keys


def _shown(headers: Headers) -> bytes:
    given = [(name, value) for name, value in headers.raw if name in (b"authorization", b"x-api-key")]
    if len(given) != 1:
        raise UnauthorizedError
    [(name, value)] = given
    if name == b"authorization":
        scheme, _, value = value.partition(b" ")
        if scheme.lower() != b"bearer":
            raise UnauthorizedError
    key = value.strip()
    if not key or len(key) > _MAX_KEY_BYTES or not key.isascii():
        raise UnauthorizedError
    return key


def _is_this_machine(host: str | None) -> bool:
    try:
        address = ip_address(host or "")
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
