"""The page's view of people in Chromium, on a real service with a gallery."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import recognising
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from service.browser import CHROMIUM, Visitor, chromium
from service.process import Running, serving

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
KEYS = {"all": "enrol,identify,verify", "reader": "identify,verify", "plain": "verify"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recognising.save_bundle(tmp_path_factory.mktemp("bundles") / "recogniser")


def with_gallery(bundle: Path, where: Path, **more: str) -> dict[str, str]:
    (where / "gallery.key").write_text("00" * 32)
    return {
        "FACEPAIR_BUNDLE": str(bundle),
        "FACEPAIR_GALLERY": f"sqlite:///{where / 'gallery.db'}",
        "FACEPAIR_GALLERY_KEY_FILE": str(where / "gallery.key"),
        "FACEPAIR_FPIR": "0.1",
        "FACEPAIR_THREADS": "1",
    } | more


@pytest.fixture
def service(recogniser: Path, tmp_path: Path) -> Iterator[Running]:
    with serving(settings=with_gallery(recogniser, tmp_path)) as service:
        yield service


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Path]:
    contents = {f"{person}-{number}": recognising.picture(person, number) for person in range(3) for number in range(3)}
    contents["broken"] = b"no picture"
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, content in contents.items():
        (folder / f"{name}.ppm").write_bytes(content)
    return {name: folder / f"{name}.ppm" for name in contents}


class People(Visitor):
    """Somebody who uses the view of people."""

    def __enter__(self) -> "People":
        super().__enter__()
        self.page.click("#to-people")
        return self

    def enrol(self, person_id: str, *files: Path, lenient: bool = True) -> list[str]:
        """What is said beside each photo."""
        self.page.fill("#person-id", person_id)
        self.page.set_input_files("#photos", files)
        self.page.set_checked("#lenient", lenient)
        self.page.click("#add")
        self.page.wait_for_selector("#add:enabled")
        return self.page.locator("#results li").all_inner_texts()

    def search(self, file: Path) -> str:
        self.page.set_input_files("#probe input", file)
        self.page.click("#identify")
        self.page.wait_for_selector("#found:not([hidden])")
        return self.page.inner_text("#outcome")

    @property
    def listed(self) -> list[str]:
        return self.page.locator("#rows li span").all_inner_texts()


def test_a_person_is_enrolled_found_erased_and_then_nobody(
    browser: Browser, service: Running, photos: dict[str, Path]
) -> None:
    with People(browser, service.address) as visitor:
        page = visitor.page
        assert page.inner_text("h1") == "People"
        assert "Enrolled people: 0, photos: 0." in page.inner_text("#enrolled")
        assert visitor.search(photos["1-0"]) == "Nobody is enrolled yet"
        said = visitor.enrol("E1", photos["1-0"], photos["broken"], photos["1-1"])
        assert said[0].startswith("Enrolled.")
        assert said[1] == "Not enrolled. This is no JPEG, PNG, WebP, PGM or PPM picture."
        assert said[2].startswith("Enrolled.")
        assert visitor.enrol("E1", photos["1-0"])[0].startswith("Was enrolled before.")
        visitor.enrol("E2", photos["2-0"])
        assert visitor.listed == ["E1", "E2"]
        assert "Enrolled people: 2, photos: 3." in page.inner_text("#enrolled")

        assert visitor.search(photos["1-2"]) == "This is E1"
        assert page.evaluate("document.activeElement.id") == "outcome"
        assert "1 search by a stranger in 10 names somebody (enrolled people: 2)" in page.inner_text("#found-level")
        assert visitor.search(photos["0-0"]) == "Nobody who is enrolled"

        page.click("[aria-label='Erase E1']")
        page.click("#keep")
        assert visitor.listed == ["E1", "E2"]
        page.click("[aria-label='Erase E1']")
        assert "Erase E1?" in page.inner_text("#erasing")
        page.click("#erase")
        assert "E1 is erased, with 2 photos, on " in visitor.problem("#receipt")
        assert visitor.listed == ["E2"]
        assert visitor.search(photos["1-2"]) == "Nobody who is enrolled"
        assert [line for line in visitor.complaints if "Failed to load resource" not in line] == []
        assert all(url.startswith((service.address, f"blob:{service.address}")) for url in visitor.requests)


def test_the_gate_says_in_words_why_no_photo_was_good_enough(
    browser: Browser, service: Running, photos: dict[str, Path]
) -> None:
    with People(browser, service.address) as visitor:
        visitor.enrol("E1", photos["1-0"])
        [said] = visitor.enrol("E1", photos["2-0"], lenient=False)
        assert said.startswith("Not enrolled. ")
        assert "unlike" in said
        [said] = visitor.enrol("E2", photos["1-1"])
        assert said == "Not enrolled. The face is very like another enrolled person's."
        assert visitor.listed == ["E1"]


def test_two_who_are_alike_are_both_named(browser: Browser, service: Running, photos: dict[str, Path]) -> None:
    with People(browser, service.address) as visitor:
        visitor.enrol("E1", photos["1-0"])
        with visitor.page.expect_response("**/identify") as answered:
            visitor.search(photos["1-1"])
        between = ambiguous(answered.value.json())
        visitor.page.route("**/identify", lambda route: route.fulfill(json=between))
        assert visitor.search(photos["1-1"]) == "E1, or E2: they lie too close to tell"


def ambiguous(answer: dict[str, Any]) -> dict[str, Any]:
    first = answer["candidates"][0]
    return answer | {"outcome": "ambiguous", "person_id": None, "candidates": [first, first | {"person_id": "E2"}]}


def test_another_level_is_asked_for_at_once(browser: Browser, service: Running, photos: dict[str, Path]) -> None:
    with People(browser, service.address) as visitor:
        visitor.enrol("E1", photos["1-0"])
        visitor.search(photos["1-1"])
        levels = visitor.page.locator("#fpir option").all_inner_texts()
        assert levels[:2] == ["as often as the service is set to", "1 search by a stranger in 10"]
        with visitor.page.expect_response("**/identify") as answer:
            visitor.page.select_option("#fpir", index=len(levels) - 1)
        assert answer.value.json()["operating_point"]["fpir"] < 0.1


def test_photos_may_be_dropped(browser: Browser, service: Running) -> None:
    give = """([target, count]) => {
        const transfer = new DataTransfer();
        for (let each = 0; each < count; each++) transfer.items.add(new File(["x"], `${each}.pgm`));
        document.querySelector(target).dispatchEvent(
            new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }"""
    with People(browser, service.address) as visitor:
        visitor.page.evaluate(give, ["#enrol .zone", 2])
        assert visitor.page.inner_text("#photos-hint") == "2 photos are chosen"
        visitor.page.evaluate(give, ["#probe .zone", 1])
        visitor.page.wait_for_selector("#identify:enabled")
        assert visitor.page.evaluate("document.querySelector('#image1 .hint').textContent.includes('pgm')") is False


def test_it_works_by_keyboard_alone(browser: Browser, service: Running, photos: dict[str, Path]) -> None:
    httpx.post(
        f"{service.address}/people/E1/photos",
        files={"images": photos["1-0"].read_bytes()},
        data={"gate": "warn"},
        timeout=60,
    )
    with Visitor(browser, service.address) as visitor:
        page = visitor.page
        for _ in range(2):
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.get_attribute("#to-people", "aria-pressed") == "true"
        page.keyboard.press("Tab")
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Space")
        chooser.value.set_files(photos["1-1"])
        for _ in range(3):  # over the camera and the level
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector("#found:not([hidden])")
        assert page.inner_text("#outcome") == "This is E1"
        page.focus("[aria-label='Erase E1']")
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        assert "E1 is erased" in visitor.problem("#receipt")
        assert page.evaluate("document.activeElement.id") == "receipt"


def test_a_key_sees_what_it_may_do(browser: Browser, recogniser: Path, tmp_path: Path) -> None:
    lines = [f"{hashlib.sha256(name.encode()).hexdigest()} {name} {scopes}" for name, scopes in KEYS.items()]
    (tmp_path / "keys").write_text("\n".join(lines))
    settings = with_gallery(recogniser, tmp_path, FACEPAIR_API_KEYS_FILE=str(tmp_path / "keys"))
    with ExitStack() as life:
        service = life.enter_context(serving(settings=settings))
        seen = {}
        for key in KEYS:
            visitor = life.enter_context(Visitor(browser, service.address))
            assert visitor.page.is_hidden("nav")
            page = visitor.page
            page.fill("#key-input", key)
            with page.expect_response("**/gallery"), page.expect_response("**/people?*"):
                page.keyboard.press("Enter")
            if key == "plain":
                page.evaluate("new Promise(done => setTimeout(done, 500))")  # what does not come cannot be waited for
            else:
                page.click("#to-people")
            seen[key] = [page.is_visible(part) for part in ("nav", "#who", "#enrol", "#list")]
    assert seen == {"all": [True] * 4, "reader": [True, True, False, False], "plain": [False] * 4}


def test_a_service_without_a_gallery_shows_no_second_view(browser: Browser, bundle_folder: Path) -> None:
    with (
        serving(settings={"FACEPAIR_BUNDLE": str(bundle_folder)}) as service,
        Visitor(browser, service.address) as visitor,
    ):
        assert visitor.page.is_hidden("nav")
        assert not any("people" in url for url in visitor.requests)
        assert visitor.complaints == []


@pytest.mark.parametrize("locale", ["en-GB", "ru-RU"])
def test_axe_finds_nothing_and_nothing_is_wider_than_a_phone(
    browser: Browser, service: Running, photos: dict[str, Path], locale: str
) -> None:
    for scheme in ("light", "dark"):
        look = {"viewport": {"width": 360, "height": 700}, "color_scheme": scheme, "locale": locale}
        with People(browser, service.address, **look) as visitor:
            visitor.enrol("E" + "x" * 63, photos["1-0"], photos["broken"])
            visitor.search(photos["1-1"])
            results = Axe().run(visitor.page)
            assert results.violations_count == 0, results.generate_report()
            assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_russian_visitors_are_spoken_to_in_russian(browser: Browser, service: Running, photos: dict[str, Path]) -> None:
    with People(browser, service.address, locale="ru-RU") as visitor:
        assert visitor.page.inner_text("h1") == "Люди"
        assert visitor.enrol("E1", photos["1-0"])[0].startswith("Записан.")
        assert visitor.search(photos["1-1"]) == "Это E1"


def test_more_people_than_a_page_come_when_they_are_asked_for(browser: Browser, service: Running) -> None:
    with httpx.Client(base_url=service.address, timeout=60) as client:
        for number in range(60):
            client.put(f"/people/E{number:02}", content=json.dumps({"display_name": "Анна"}), headers=JSON)
    with People(browser, service.address) as visitor:
        assert len(visitor.listed) == 50
        visitor.page.click("#more")
        visitor.page.wait_for_selector("#more", state="hidden")
        assert visitor.listed[-1] == "E59 · Анна"
        assert len(visitor.listed) == 60


JSON = {"Content-Type": "application/json"}
