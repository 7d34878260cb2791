"""A service in a process of its own, for what only a socket shows."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

COMMANDS = {
    "facepair": [sys.executable, "-c", "from app.main import serve; serve()"],
    "uvicorn": [sys.executable, "-m", "uvicorn", "--factory", "app.main:build", "--port"],
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(command: str, folder: Path, **settings: object) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A service in a process of its own, ready; gives its address."""
    given = {f"FACEPAIR_{name.upper()}": str(value) for name, value in settings.items()}
    port = free_port()
    arguments = COMMANDS[command] + ([str(port)] if command == "uvicorn" else [])
    environment = os.environ | {"FACEPAIR_BUNDLE": str(folder), "FACEPAIR_PORT": str(port), "FACEPAIR_THREADS": "1"}
    environment |= given
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_ready(address, process)
        yield address, process
    finally:
        process.kill()
        process.communicate()


def wait_until_ready(address: str, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail("the service did not start")


def files(picture: bytes) -> dict[str, bytes]:
    return {"image1": picture, "image2": picture}
