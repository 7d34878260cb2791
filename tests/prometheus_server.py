"""Prometheus with deploy/prometheus.yml, reading a service on this machine instead of compose's."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import makers
import services
from service.process import free_port

CONFIGURATION = makers.ROOT / "deploy/prometheus.yml"


@contextmanager
def prometheus(folder: Path, service: str) -> Iterator[httpx.Client]:
    """A client of its HTTP API while the block lasts. It scrapes every second, so that a test need not wait long."""
    text, port = CONFIGURATION.read_text(encoding="utf-8"), free_port()
    target = f'static_configs: [{{targets: ["{service.removeprefix("http://")}"]}}]'
    for said, here in ((r"dns_sd_configs:\n.*", target), ("interval: 15s", "interval: 1s")):
        text, count = re.subn(said, here, text)
        assert count == 1
    (path := folder / "prometheus.yml").write_text(text, encoding="utf-8")
    command = ["prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder / 'series'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    process = subprocess.Popen(command)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=services.PATIENCE) as client:
            services.until(lambda: process.poll() is None and _is_ready(client))
            yield client
    finally:
        process.terminate()
        process.wait()


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").is_success
    except httpx.TransportError:
        return False
