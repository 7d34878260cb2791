"""Who has a network of IPv6 addresses is one client, whose share is one."""

import asyncio

import pytest
import uvicorn
from fastapi import FastAPI
from uvicorn.server import ServerState

from app.addresses import client_at
from app.connection import Connection, Connections
from app.request_context import RequestContext
from app.settings import Settings

pytestmark = pytest.mark.anyio


class Peer(asyncio.Transport):
    """A connection from an address."""

    broken_off = False

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 1)})

    def abort(self) -> None:
        self.broken_off = True


def test_an_ipv6_address_stands_for_its_network() -> None:
    assert client_at("2001:db8::1") == client_at("2001:db8::ffff:1:2:3") == client_at("2001:0DB8::9%eth0")
    assert client_at("2001:db8::1") != client_at("2001:db8:0:1::1")
    assert client_at("192.0.2.7") == client_at("::ffff:192.0.2.7") == "192.0.2.7"
    assert (client_at(""), client_at("unknown")) == ("", "unknown")


def test_requests_from_one_network_share() -> None:
    one, other = RequestContext(address="2001:db8::1"), RequestContext(address="2001:db8::2")
    assert one.shares_as == other.shares_as


async def test_one_network_cannot_take_all_connections() -> None:
    connections = Connections(Settings(max_connections=8), lambda _: None, lambda _: False)
    config = uvicorn.Config(FastAPI(), log_config=None)
    quiet, *many = [Peer("192.0.2.7"), *(Peer(f"2001:db8::{number:x}") for number in range(12))]
    for peer in (quiet, *many):
        Connection(connections, config=config, server_state=ServerState(), app_state={}).connection_made(peer)
    assert not quiet.broken_off
    assert [peer.broken_off for peer in many] == [True] * 6 + [False] * 6
