"""Drives the page in a real browser, as a visitor does. It knows no test and nothing of how the service runs."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
_QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
_FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
_PATIENCE_MS = 60_000

Image = Literal["image1", "image2"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium without a window, its camera showing a pattern. Raises ValueError where it is not installed."""
    if CHROMIUM is None:
        raise ValueError("chromium is not installed")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", *_QUIET, *_FAKE_CAMERA]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """Somebody on the page. `requests`: every address that the browser asked; `complaints`: what its console says."""

    def __init__(self, browser: Browser, address: str, **context: Any) -> None:
        self.address = address
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._context = browser.new_context(
            **({"locale": "en-GB", "viewport": {"width": 800, "height": 900}} | context)
        )
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(_PATIENCE_MS)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda line: self.complaints.append(line.text) if line.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def __enter__(self) -> "Visitor":
        self.page.goto(f"{self.address}/")
        self.page.wait_for_load_state("networkidle")
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()

    def choose(self, image: Image, file: Path) -> None:
        self.page.set_input_files(f"#{image} input", file)

    def compare(self, one: Path, two: Path) -> None:
        self.choose("image1", one)
        self.choose("image2", two)
        self.page.click("#compare")

    @property
    def verdict(self) -> str:
        """The verdict, once there is one."""
        self.page.wait_for_selector("#answer:not([hidden])")
        return self.page.inner_text("#verdict")

    def problem(self, where: str) -> str:
        """The words at a place, once there are some."""
        self.page.wait_for_selector(f"{where}:not(:empty)")
        return self.page.inner_text(where)
