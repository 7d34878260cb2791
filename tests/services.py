"""A service in a process of its own, for what only a socket shows."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import warm
from service.process import FACEPAIR, free_port

_WRITE_NOTHING = (
    "mount --make-rprivate / && for place in / /tmp /var/tmp /dev/shm; do "
    'mount --bind $place $place && mount -o remount,ro,bind $place || exit 1; done && exec "$@"'
)
COMMANDS = {
    "facepair": [*FACEPAIR],
    "uvicorn": [sys.executable, "-m", "uvicorn", "--factory", "app.main:build", "--port"],
}
WRITES_NOWHERE = ["unshare", "-m", "sh", "-c", _WRITE_NOTHING, "sh", *FACEPAIR]
"""Where everything is read-only; needs the right to mount."""


PATIENCE = 60
"""Seconds within which an answer comes on the busiest machine; one that does not come at all is a fault."""
UNHURRIED = {"FACEPAIR_THREADS": "1", "FACEPAIR_REQUEST_TIMEOUT": str(PATIENCE), "FACEPAIR_DECODER_TIMEOUT": "30"}
"""Settings with which a service gives nothing up because the machine is busy."""


@contextmanager
def running(
    command: str | list[str], folder: Path, **settings: object
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A service in a process of its own, ready; gives its address."""
    given = {f"FACEPAIR_{name.upper()}": str(value) for name, value in settings.items()}
    port = free_port()
    arguments = [*(COMMANDS[command] if isinstance(command, str) else command)]
    arguments += [str(port)] if command == "uvicorn" else []
    environment = os.environ | UNHURRIED | {"FACEPAIR_BUNDLE": str(folder), "FACEPAIR_PORT": str(port)} | given
    start = warm.Popen if arguments[0] == sys.executable else subprocess.Popen
    process = start(
        arguments, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        pipesize=2**20,  # holds the log of any test: nobody reads it before the end
    )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_ready(address, process)
        yield address, process
    finally:
        process.kill()
        process.communicate()


def wait_until_ready(address: str, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 2 * PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{address}/readyz", timeout=PATIENCE).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail("the service did not start")


def until(holds: Callable[[], bool]) -> None:
    """Waits for what is to come, as long as the machine takes for it."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def files(picture: bytes) -> dict[str, bytes]:
    return {"image1": picture, "image2": picture}
