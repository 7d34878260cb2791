"""nginx with deploy/proxy/nginx.conf in front of replicas at other addresses; knows nothing of containers."""

import re
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from service.process import free_port

CONFIGURATION = Path(__file__).parents[2] / "deploy/proxy/nginx.conf"


@contextmanager
def nginx(folder: Path, replicas: Sequence[str]) -> Iterator[tuple[str, ssl.SSLContext]]:
    """Serves while the block lasts. Gives its address, and what trusts its certificate, made for the occasion."""
    key, certificate = folder / "tls.key", folder / "tls.crt"
    subprocess.run(
        ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate),
        check=True, capture_output=True,
    )  # fmt: skip
    port = free_port()
    text = CONFIGURATION.read_text(encoding="utf-8")
    text = text.replace("listen 8443", f"listen {port}")
    for place in ("/tmp", "/etc/nginx/tls"):  # noqa: S108 - a place in the container
        text = text.replace(place, str(folder))
    hosts = re.findall(r"server (\S+:8000)", text)
    for host, address in zip(hosts, replicas, strict=True):
        text = text.replace(f"server {host}", f"server {address.removeprefix('http://')}")
    path = folder / "nginx.conf"
    path.write_text(text, encoding="utf-8")
    process = subprocess.Popen(("nginx", "-c", path, "-g", "daemon off;"))
    try:
        address, trust = f"https://localhost:{port}", ssl.create_default_context(cafile=certificate)
        _wait(address, trust)
        yield address, trust
    finally:
        process.terminate()
        process.wait()


def _wait(address: str, trust: ssl.SSLContext) -> None:
    for _ in range(100):
        try:
            httpx.get(f"{address}/livez", verify=trust)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("nginx does not answer")
