"""Builds the image and runs it as docker-compose.yml does, with Docker or, where there is none, buildah and runc."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, Self

import httpx

IMAGE = "facepair"
PORT = 8000
_READY_SECONDS = 120


@dataclass(frozen=True)
class Container:
    """A running service. `kill` ends it at once; `stop` tells it to end and waits until it has."""

    address: str
    kill: Callable[[], None]
    stop: Callable[[], None]

    def wait_until_ready(self) -> float:
        """Seconds until /readyz answers 200. Raises TimeoutError."""
        started = time.monotonic()
        while time.monotonic() - started < _READY_SECONDS:
            try:
                if httpx.get(f"{self.address}/readyz", timeout=2).status_code == 200:
                    return time.monotonic() - started
            except httpx.TransportError:
                time.sleep(0.1)
        raise TimeoutError(f"{self.address} is not ready after {_READY_SECONDS} s")


class Engine(Protocol):
    """What builds and runs images while its `with` block lasts."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *raised: object) -> None: ...

    def build(self, target: str, arguments: Sequence[str]) -> int:
        """Builds the image; `arguments` go to the engine. Returns the image's size in bytes."""

    @contextmanager
    def run(self, number: int, settings: Mapping[str, str]) -> Iterator[Container]:
        """Runs one container, the `number`-th (from 1), read-only and without rights; ends it with the block."""


class Docker:
    """Docker's own commands. `run` publishes the port on this machine's loopback."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None: ...

    def build(self, target: str, arguments: Sequence[str]) -> int:
        _do("docker", "build", "--target", target, "--tag", IMAGE, *arguments, ".")
        return int(_output("docker", "image", "inspect", "--format", "{{.Size}}", IMAGE))

    @contextmanager
    def run(self, number: int, settings: Mapping[str, str]) -> Iterator[Container]:
        name, port = f"facepair-try-{number}", PORT + 100 + number
        variables = [part for item in settings.items() for part in ("--env", "=".join(item))]
        _do(
            "docker", "run", "--detach", "--rm", "--name", name, "--publish", f"127.0.0.1:{port}:{PORT}",
            "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",  # noqa: S108
            *variables, IMAGE,
        )  # fmt: skip
        try:
            yield Container(
                f"http://127.0.0.1:{port}", partial(_do, "docker", "kill", name), partial(_do, "docker", "stop", name)
            )
        finally:
            subprocess.run(("docker", "rm", "--force", name), check=False, capture_output=True)


class Buildah:
    """buildah with chroot isolation, runc, and a network namespace for each container. Needs root.

    A namespace outlives its container: what still asks a container that has ended is refused by that namespace.
    Without it, such requests would leave this machine.
    """

    def __enter__(self) -> Self:
        self._networks = ExitStack()
        self._named: set[str] = set()
        return self

    def __exit__(self, *raised: object) -> None:
        self._networks.close()

    def build(self, target: str, arguments: Sequence[str]) -> int:
        _do("buildah", "build", "--isolation", "chroot", "--target", target, "--tag", IMAGE, *arguments, ".")
        described = json.loads(_output("buildah", "images", "--json", IMAGE))
        return _bytes(described[0]["size"])

    @contextmanager
    def run(self, number: int, settings: Mapping[str, str]) -> Iterator[Container]:
        name, address = f"facepair{number}", f"10.88.{number}.2"
        working = _output("buildah", "from", "--pull-never", IMAGE)
        with ExitStack() as undo, TemporaryDirectory() as folder:
            undo.callback(_output, "buildah", "rm", working)
            root = _output("buildah", "mount", working)
            if name not in self._named:
                _network(name, f"10.88.{number}.1", address)
                self._named.add(name)
                self._networks.callback(_do, "ip", "netns", "delete", name)
            _do("runc", "spec", "--bundle", folder)
            path = Path(folder) / "config.json"
            config = json.loads(_output("buildah", "inspect", "--type", "image", IMAGE))["OCIv1"]["config"]
            path.write_text(json.dumps(_confined(json.loads(path.read_text()), root, name, config, settings)))
            process = subprocess.Popen(("runc", "run", "--bundle", folder, name), stderr=subprocess.DEVNULL)

            def end(signal: str) -> None:
                if process.poll() is None:
                    _do("runc", "kill", name, signal)
                    process.wait()

            undo.callback(end, "KILL")
            yield Container(f"http://{address}:{PORT}", partial(end, "KILL"), partial(end, "TERM"))


def engine() -> Engine:
    """Docker where its engine answers, else buildah. Raises FileNotFoundError where there is neither."""
    if shutil.which("docker") and subprocess.run(("docker", "info"), check=False, capture_output=True).returncode == 0:
        return Docker()
    if all(map(shutil.which, ("buildah", "runc", "ip"))):
        return Buildah()
    raise FileNotFoundError("neither a Docker engine nor buildah, runc and ip are here")


def _network(name: str, here: str, there: str) -> None:
    """A network namespace with an address of its own, reached from this machine by one pair of interfaces."""
    _do("ip", "netns", "add", name)
    _do("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
    _do("ip", "address", "add", f"{here}/24", "dev", name)
    _do("ip", "link", "set", name, "up")
    for command in (
        ("address", "add", f"{there}/24", "dev", "eth0"),
        ("link", "set", "eth0", "up"),
        ("link", "set", "lo", "up"),
    ):
        _do("ip", "-netns", name, *command)


def _confined(
    spec: dict[str, dict[str, object]],
    root: str,
    namespace: str,
    config: Mapping[str, object],
    settings: Mapping[str, str],
) -> dict[str, dict[str, object]]:
    """runc's default specification under what docker-compose.yml asks for: no root, no rights, nothing to write to."""
    user, _, group = str(config["User"]).partition(":")
    spec["process"] |= {
        "terminal": False,
        "user": {"uid": int(user), "gid": int(group)},
        "args": config["Cmd"],
        "env": [*config["Env"], *map("=".join, settings.items())],  # type: ignore[misc]
        "noNewPrivileges": True,
        "capabilities": {},
        "rlimits": [],
    }
    spec["root"] = {"path": root, "readonly": True}
    mounts: list[object] = spec["mounts"]  # type: ignore[assignment]
    scratch = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}  # noqa: S108
    mounts.append(scratch | {"options": ["nosuid", "nodev", "mode=1777"]})
    namespaces: list[dict[str, str]] = spec["linux"]["namespaces"]  # type: ignore[assignment]
    for kind in namespaces:
        if kind["type"] == "network":
            kind["path"] = f"/var/run/netns/{namespace}"
    return spec


def _bytes(size: str) -> int:
    number, unit = size.split()
    return round(float(number) * {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9}[unit])


def _do(*command: str) -> None:
    subprocess.run(command, check=True)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
