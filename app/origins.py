"""Keeps web pages of elsewhere from using a service without keys through a visitor's browser; knows no key.

A page that has its own name resolved to this machine (DNS rebinding) shows in Host; a page that posts here across sites
shows in Origin or Sec-Fetch-Site. Other clients send neither.
"""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\s:/?#@\[\]\\]+)(:\d*)?")
"""Nothing else is a host (RFC 9110, 7.2), though one may be made out in it: `localhost/evil.example`."""


class OriginError(Exception):
    """The request is addressed to a name that is not ours, or comes from another web site."""


class Origins:
    """Under which names the service may be called: addresses, names of this machine, and `names`."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = {name.lower() for name in names}

    def check(self, headers: Headers) -> None:
        """Raises OriginError."""
        host = headers.get("host")
        if host is not None and not self._is_ours(host):
            raise OriginError
        if any(site.lower() == "cross-site" for site in headers.getlist("sec-fetch-site")):
            raise OriginError
        if any(_authority(origin) != (host or "").lower() for origin in headers.getlist("origin")):
            raise OriginError

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host.lower())
        name = found["name"].strip("[]").rstrip(".") if found else ""
        return name in self._names or name == "localhost" or name.endswith(".localhost") or _is_address(name)


def _authority(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    """An address stands for itself: nobody can have it resolved to another one."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
