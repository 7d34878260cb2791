"""Runs a service in a process of its own: start, memory, end. It knows nothing of what the service is asked."""

import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from subprocess import DEVNULL, Popen, TimeoutExpired


def facepair(python: str = sys.executable) -> tuple[str, ...]:
    """A command that serves Facepair, by the interpreter `python`."""
    return (python, "-c", "from app.main import serve; serve()")


def uvicorn(factory: str, python: str = sys.executable) -> tuple[str, ...]:
    """A command that serves what `factory` makes, by the interpreter `python`; it lacks only the port."""
    return (python, "-m", "uvicorn", "--factory", factory, "--log-level", "warning", "--port")


FACEPAIR = facepair()
PLAIN = uvicorn("benchmarks.plain_service:build")
_STARTUP_SECONDS = 120.0


@dataclass(frozen=True)
class Running:
    address: str
    process: "Popen[bytes]"
    startup: float
    """Seconds from the start of the process to the first answer that says it is ready."""

    def alive(self) -> bool:
        return self.process.poll() is None

    def workers(self) -> list[int]:
        """Leaf child processes, without multiprocessing's resource tracker."""
        below = _family(self.process.pid)[1:]
        return [pid for pid in below if len(_family(pid)) == 1 and b"resource_tracker" not in _command(pid)]

    def megabytes(self) -> float:
        """Resident memory of the process and of its children."""
        return sum(_kilobytes(pid) for pid in _family(self.process.pid)) / 1024


@contextmanager
def serving(command: Sequence[str] = FACEPAIR, settings: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Starts a service that is ready when the block begins and ended when it ends."""
    port = free_port()
    here = Path(__file__).parents[1]
    environment = (
        os.environ | {"FACEPAIR_PORT": str(port), "PYTHONPATH": f"{here}:{here.parent}"} | dict(settings or {})
    )
    started = time.perf_counter()
    ours = command[-1] != "--port"
    arguments = command if ours else [*command, str(port)]
    process = Popen(arguments, env=environment, stdout=DEVNULL, stderr=DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(f"{address}/readyz" if ours else f"{address}/openapi.json", process)
        yield Running(address, process, time.perf_counter() - started)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except TimeoutExpired:
            process.kill()


def _wait(url: str, process: "Popen[bytes]") -> None:
    end = time.monotonic() + _STARTUP_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - of this machine
                return
        except urllib.error.URLError:
            time.sleep(0.02)
    raise ValueError("the service did not start")


def free_port() -> int:
    """One below those that the kernel gives to clients, so that none of them has it when the service comes to it."""
    while True:
        port = SystemRandom().randrange(10_000, 32_768)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _family(pid: int) -> list[int]:
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").glob("*/children")
        for child in _contents(task).decode().split()
    ]
    return [pid, *(descendant for child in children for descendant in _family(child))]


def _command(pid: int) -> bytes:
    return _contents(Path(f"/proc/{pid}/cmdline"))


def _kilobytes(pid: int) -> int:
    status = _contents(Path(f"/proc/{pid}/status")).splitlines()
    return next((int(line.split()[1]) for line in status if line.startswith(b"VmRSS")), 0)


def _contents(path: Path) -> bytes:
    """A file of the kernel about a process; empty where the process has ended."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
