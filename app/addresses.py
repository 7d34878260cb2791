"""Whom an address stands for; knows no request."""

from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network

_PREFIX = 64
"""Bits of the IPv6 network that one client usually has to itself (RFC 6177), with all the addresses in it."""


@lru_cache
def client_at(address: str) -> str:
    """An IPv4 address stands for itself, an IPv6 address for its network; what is neither stands for itself as well."""
    try:
        whole = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(whole.ipv4_mapped or IPv6Network((int(whole), _PREFIX), strict=False))
