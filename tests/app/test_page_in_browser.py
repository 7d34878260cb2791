"""The page in Chromium, on real services: what visitors see when all is well, and when something is not."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import makers
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser
from service.browser import CHROMIUM, Visitor, chromium
from service.drawn_faces import portrait
from service.process import Running, serving

from model import bundle
from model.decision import Policy

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

PERSON, STRANGER = 2, 23
IMPOSTOR_PAIRS = Policy(bundle.load(bundle.SHIPPED / "default").manifest).operating_point().impostor_pairs
KEY = "a-key-that-is-known"
BUSY = {"code": "overloaded"}


def grainy(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture under so much noise that its face is nobody's: drawn faces pass for one another."""
    noise = np.random.default_rng(0).normal(0, 100, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


GIVE = """([kind, target]) => {
    const transfer = new DataTransfer();
    for (const [name, type] of [["a.png", "image/png"], ["b.pgm", ""], ["notes.txt", "text/plain"]])
        transfer.items.add(new File(["x"], name, { type }));
    const event = kind === "drop" ? new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true })
        : new ClipboardEvent(kind, { clipboardData: transfer, bubbles: true });
    document.querySelector(target).dispatchEvent(event);
}"""
"""Drops or pastes three files."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with serving(settings={"FACEPAIR_THREADS": "1"}) as service:
        yield service


@pytest.fixture
def visitor(browser: Browser, service: Running) -> Iterator[Visitor]:
    """Everything that this visitor sees comes from the service, and the console has nothing to say."""
    with Visitor(browser, service.address) as visitor:
        yield visitor
        assert all(url.startswith((service.address, f"blob:{service.address}")) for url in visitor.requests)
        assert [line for line in visitor.complaints if "Failed to load resource" not in line] == []


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("photos")
    contents = {
        "one.png": makers.encoded(portrait(PERSON, 0)),
        "other.png": makers.encoded(portrait(PERSON, 1)),
        "stranger1.png": makers.encoded(portrait(STRANGER)),
        "stranger2.png": makers.encoded(grainy(portrait(STRANGER))),
        "turned.png": makers.turned(portrait(PERSON, 0), 6),
        "grey.pgm": makers.encoded(Image.fromarray(portrait(PERSON, 1)).convert("L"), "PPM"),
        "blank.png": makers.encoded(Image.new("RGB", (200, 200), "white")),
        "corrupt.jpg": makers.encoded(portrait(PERSON, 0), "JPEG")[:3000],
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name.split(".")[0]: folder / name for name in contents}


class Box(NamedTuple):
    x: float
    y: float
    width: float
    height: float


def box_of(visitor: Visitor, selector: str) -> Box:
    """Where something is in the window, in pixels."""
    box = visitor.page.locator(selector).bounding_box()
    assert box
    return Box(**box)


def test_one_person_is_recognised_and_the_box_is_on_the_face(visitor: Visitor, photos: dict[str, Path]) -> None:
    visitor.compare(photos["one"], photos["other"])
    assert visitor.verdict == "The same person"
    assert f"No pair of strangers among {IMPOSTOR_PAIRS:,} was this close" in visitor.page.inner_text("#closeness")
    assert "4,746 people of “celeba”" in visitor.page.inner_text("#measured")
    image, box = (box_of(visitor, f"#image1 {part}") for part in ("img", "rect"))
    assert box.x + box.width / 2 == pytest.approx(image.x + image.width / 2, abs=0.05 * image.width)
    assert box.y + box.height / 2 == pytest.approx(image.y + image.height / 2, abs=0.05 * image.height)
    assert visitor.complaints == []


def test_a_photo_that_was_taken_sideways_has_its_box_on_the_face_too(visitor: Visitor, photos: dict[str, Path]) -> None:
    visitor.compare(photos["one"], photos["turned"])
    assert visitor.verdict == "The same person"
    straight, turned = (box_of(visitor, f"#{image} rect") for image in ("image1", "image2"))
    assert turned.width == pytest.approx(straight.width, abs=2)
    assert turned.y == pytest.approx(straight.y, abs=2)


def test_strangers_are_told_apart_until_the_slider_allows_them_without_another_call(
    visitor: Visitor, photos: dict[str, Path]
) -> None:
    visitor.compare(photos["stranger1"], photos["stranger2"])
    assert visitor.verdict == "Different people"
    assert "About 1 pair of strangers in" in visitor.page.inner_text("#closeness")
    line = visitor.page.locator("#distances line.threshold")
    before, asked = line.get_attribute("x1"), len(visitor.requests)
    visitor.page.focus("#level")
    visitor.page.keyboard.press("Home")
    assert visitor.verdict == "The same person"
    assert "1 pair of strangers in 10 is taken for one person" in visitor.page.inner_text("#level-words")
    assert (
        visitor.page.get_attribute("#level", "aria-valuetext") == "1 pair of strangers in 10 is taken for one person."
    )
    assert line.get_attribute("x1") != before
    assert len(visitor.requests) == asked


@pytest.mark.parametrize(("photo", "words"), [("blank", "No face was found."), ("corrupt", "The picture is damaged.")])
def test_what_is_wrong_with_a_photo_stands_beside_it(
    visitor: Visitor, photos: dict[str, Path], photo: str, words: str
) -> None:
    visitor.compare(photos["one"], photos[photo])
    assert words in visitor.problem("#image2 .error")
    assert visitor.page.inner_text("#image1 .error") == ""
    assert visitor.page.is_hidden("#answer")
    visitor.choose("image2", photos["other"])
    assert visitor.page.inner_text("#image2 .error") == ""
    visitor.page.click("#compare")
    assert visitor.verdict == "The same person"


def test_a_picture_that_the_browser_cannot_show_is_compared_all_the_same(
    visitor: Visitor, photos: dict[str, Path]
) -> None:
    visitor.compare(photos["one"], photos["grey"])
    assert visitor.verdict == "The same person"
    assert "grey.pgm: this browser cannot show it" in visitor.page.inner_text("#image2 .hint")
    assert "unlike the photos" in visitor.page.inner_text("#image2 .warnings").lower()


def test_it_works_by_keyboard_alone(visitor: Visitor, photos: dict[str, Path]) -> None:
    page = visitor.page
    page.on("filechooser", lambda _: None)  # Chromium is told of it now, not while the key is pressed
    for number, name in enumerate(("one", "other"), 1):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.parentElement.closest('[id]').id") == f"image{number}"
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Space")
        chooser.value.set_files(photos[name])
        page.keyboard.press("Tab")  # over the camera
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert visitor.verdict == "The same person"
    assert page.evaluate("document.activeElement.id") == "verdict"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "level"


def test_two_photos_can_be_dropped_or_pasted_at_once(visitor: Visitor) -> None:
    shown = ["#image1 .hint", "#image2 .hint"]
    for kind, target, first in (("drop", "#image2 .zone", 1), ("paste", "body", 0)):
        visitor.page.reload()
        visitor.page.wait_for_load_state("networkidle")
        visitor.page.evaluate(GIVE, [kind, target])
        visitor.page.wait_for_selector("#compare:enabled")
        hints = [visitor.page.inner_text(hint) for hint in shown]
        assert "b.pgm" in hints[1 - first]
        assert "notes.txt" not in "".join(hints)


def test_the_camera_takes_a_photo_and_is_let_go(visitor: Visitor, photos: dict[str, Path]) -> None:
    visitor.choose("image2", photos["one"])
    visitor.page.click("#image1 .camera")
    visitor.page.wait_for_selector("video")
    visitor.page.evaluate("new Promise(ready => document.querySelector('video').requestVideoFrameCallback(ready))")
    stream = visitor.page.evaluate_handle("document.querySelector('video').srcObject")
    visitor.page.click("#take")
    visitor.page.click("#compare")
    assert "No face was found." in visitor.problem("#image1 .error")  # Chromium's own shows a pattern
    assert stream.evaluate("stream => stream.active") is False


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_command_asks_the_same(visitor: Visitor, photos: dict[str, Path], tmp_path: Path) -> None:
    names = {"one": "it's one.png", "other": "other;type=text,.png"}
    for photo, name in names.items():
        (tmp_path / name).write_bytes(photos[photo].read_bytes())
    visitor.compare(*(tmp_path / name for name in names.values()))
    assert visitor.verdict == "The same person"
    visitor.page.click("summary")
    visitor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.page.click("#copy")
    visitor.page.wait_for_selector("#copied:not(:empty)")
    command = visitor.page.evaluate("navigator.clipboard.readText()")
    asked = subprocess.run(["bash", "-c", f"{command} --silent"], cwd=tmp_path, capture_output=True, check=True)
    assert b'"same":true' in asked.stdout


def test_a_slow_network_is_waited_for(visitor: Visitor, photos: dict[str, Path]) -> None:
    network = visitor.page.context.new_cdp_session(visitor.page)
    slow = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 100_000}
    network.send("Network.emulateNetworkConditions", slow)
    visitor.compare(photos["one"], photos["other"])
    assert visitor.page.inner_text("#compare") == "Comparing …"
    assert visitor.page.is_disabled("#compare")
    assert visitor.verdict == "The same person"
    assert visitor.page.inner_text("#compare") == "Compare"


def test_a_service_that_is_gone_is_told_of(browser: Browser, photos: dict[str, Path], bundle_folder: Path) -> None:
    with ExitStack() as life:
        service = life.enter_context(serving(settings={"FACEPAIR_BUNDLE": str(bundle_folder)}))
        visitor = life.enter_context(Visitor(browser, service.address))
        service.process.kill()
        service.process.wait()
        visitor.compare(photos["one"], photos["other"])
        assert "The service does not answer." in visitor.problem("#ask > .error")


def test_a_key_is_asked_for_where_one_is_needed(
    browser: Browser, photos: dict[str, Path], bundle_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text(hashlib.sha256(KEY.encode()).hexdigest() + " anna\n")
    settings = {"FACEPAIR_BUNDLE": str(bundle_folder), "FACEPAIR_API_KEYS_FILE": str(tmp_path / "keys")}
    with serving(settings=settings) as service, Visitor(browser, service.address) as visitor:
        page = visitor.page
        assert page.is_visible("#key")
        page.fill("#key-input", "a-wrong-one")
        page.keyboard.press("Enter")
        assert "without a key that it knows" in visitor.problem("#key .error")
        page.fill("#key-input", KEY)
        page.keyboard.press("Enter")
        page.wait_for_selector("#key", state="hidden")
        visitor.compare(photos["one"], photos["other"])
        assert visitor.verdict
        assert "-H 'X-API-Key: YOUR_KEY'" in (page.text_content("#curl") or "")
        assert KEY not in page.content()
        assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


def test_refusals_of_the_service_are_put_in_plain_words(
    browser: Browser, photos: dict[str, Path], bundle_folder: Path, tmp_path: Path
) -> None:
    size = photos["one"].stat().st_size
    limits = {"MAX_FILE_BYTES": size + 1000, "MAX_BODY_BYTES": 2 * size - 5000}
    settings = {f"FACEPAIR_{name}": str(value) for name, value in limits.items()}
    large = tmp_path / "large.png"
    large.write_bytes(photos["one"].read_bytes() + bytes(2000))
    settings["FACEPAIR_BUNDLE"] = str(bundle_folder)
    with serving(settings=settings) as service, Visitor(browser, service.address) as visitor:
        visitor.compare(photos["one"], large)
        assert "The file is too large" in visitor.problem("#image2 .error")
        assert not any(url.endswith("/verify") for url in visitor.requests)
        visitor.compare(photos["one"], photos["one"])
        assert "The two files together are too large." in visitor.problem("#ask > .error")
        visitor.page.route(
            "**/verify", lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}, json=BUSY)
        )
        visitor.compare(photos["grey"], photos["blank"])
        assert visitor.problem("#ask > .error") == "The service has too much to do. Try again in 1 s."


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(
    browser: Browser, service: Running, photos: dict[str, Path], scheme: Any, width: int
) -> None:
    look = {"viewport": {"width": width, "height": 700}, "color_scheme": scheme}
    with Visitor(browser, service.address, **look) as visitor:
        empty = Axe().run(visitor.page)
        visitor.compare(photos["stranger1"], photos["stranger2"])
        assert visitor.verdict == "Different people"
        visitor.page.click("summary")
        answered = Axe().run(visitor.page)
        for results in (empty, answered):
            assert results.violations_count == 0, results.generate_report()
        assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width


def test_russian_visitors_are_spoken_to_in_russian(browser: Browser, service: Running, photos: dict[str, Path]) -> None:
    with Visitor(browser, service.address, locale="ru-RU") as visitor:
        assert visitor.page.get_attribute("html", "lang") == "ru"
        visitor.compare(photos["one"], photos["blank"])
        assert "Лицо не найдено." in visitor.problem("#image2 .error")
        visitor.choose("image2", photos["other"])
        visitor.page.click("#compare")
        assert visitor.verdict == "Это один и тот же человек"
        assert f"{IMPOSTOR_PAIRS:,}".replace(",", " ") in visitor.page.inner_text("#closeness").replace("\xa0", " ")


def test_swagger_works_at_the_first_click(browser: Browser, service: Running, photos: dict[str, Path]) -> None:
    with Visitor(browser, service.address) as visitor:
        page = visitor.page
        page.goto(f"{service.address}/docs")
        for route, files in (("verify", ["one", "other"]), ("embed", ["one"]), ("get_model", [])):
            block = page.locator(f"#operations-verification-{route}")
            block.locator(".opblock-summary-control").click()
            block.locator(".try-out__btn").click()
            for field, photo in enumerate(files):
                block.locator("input[type=file]").nth(field).set_input_files(photos[photo])
            block.locator(".execute").click()
            assert block.locator(".live-responses-table tbody .response-col_status").inner_text().split()[0] == "200"
        assert page.locator(".errors-wrapper").count() == 0
        assert all(url.startswith((service.address, "blob:", "data:")) for url in visitor.requests)
