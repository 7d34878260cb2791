"""What a new image must answer, and what a pair of replicas must live through; knows nothing of engines."""

import io
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from service.drawn_faces import portrait


def smoke(client: httpx.Client) -> list[str]:
    """Asks for everything that a user sees first. Returns what was wrong, nothing where all is well."""
    same = {"image1": _png(portrait(1)), "image2": _png(portrait(1))}
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    checks: dict[str, Callable[[], bool]] = {
        "/livez": lambda: client.get("/livez").status_code == 200,
        "/readyz": lambda: client.get("/readyz").status_code == 200,
        "the page": lambda: "Facepair" in client.get("/").text,
        "/docs": lambda: "swagger" in client.get("/docs").text.lower(),
        "/model": lambda: client.get("/model").json()["name"] == "default",
        "/metrics": lambda: "facepair_requests_total" in client.get("/metrics").text,
        "/verify, one picture twice": lambda: client.post("/verify", files=same).json()["distance"] == 0,
        "/embed": lambda: client.post("/embed", files={"image": same["image1"]}).json()["dimension"] > 0,
        "/embed, no face": lambda: client.post("/embed", files={"image": _png(noise)}).json()["code"] == "no_face",
    }
    return [name for name, check in checks.items() if not _holds(check)]


@dataclass
class Load:
    """Callers that verify without a pause until told to end; counts what they were answered."""

    address: str
    trust: ssl.SSLContext
    callers: int = 4
    answers: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._ended = threading.Event()
        self._pictures = {"image1": _png(portrait(1)), "image2": _png(portrait(2))}
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(self.callers)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> Counter[str]:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        return self.answers

    def _call(self) -> None:
        with httpx.Client(base_url=self.address, verify=self.trust, timeout=30) as client:
            while not self._ended.is_set():
                answer = _answer(client, self._pictures)
                self.answers[answer] += 1
                if answer.startswith("503"):
                    time.sleep(1)  # as Retry-After asks


def _answer(client: httpx.Client, pictures: dict[str, bytes]) -> str:
    try:
        response = client.post("/verify", files=pictures)
    except httpx.TransportError as error:
        return type(error).__name__
    return f"{response.status_code}" if response.is_success else f"{response.status_code} {response.text[:200]}"


def _holds(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except (httpx.HTTPError, ValueError, KeyError):
        return False


def _png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
