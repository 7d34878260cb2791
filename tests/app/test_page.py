"""The page without a browser: its files, their words, their headers. What it does: `test_page_in_browser`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import photos
from app.errors import ErrorKind
from app.main import create_app
from app.page import FOLDER, HEADERS
from app.settings import Settings
from model.faces.face import FaceWarning

pytestmark = pytest.mark.anyio

LANGUAGES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")}
FILES = [path for path in FOLDER.iterdir() if path.suffix != ".json"]


def sentences(words: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in words.items():
        if isinstance(value, dict):
            yield from sentences(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


async def test_it_is_served_with_a_policy_that_allows_nothing_inline_and_nothing_from_elsewhere(
    client: httpx.AsyncClient,
) -> None:
    page = await client.get("/")
    assert (page.status_code, page.text) == (200, (FOLDER / "index.html").read_text(encoding="utf-8"))
    for answer in (page, await client.get("/page/page.js")):
        assert HEADERS.items() <= {name.title(): value for name, value in answer.headers.items()}.items()
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert set(re.findall(r"[a-z-]+-src ([^;]+)", policy)) == {"'none'", "'self'", "'self' blob:"}


async def test_it_can_be_turned_off(bundle_folder: Path) -> None:
    service = create_app(Settings(bundle=str(bundle_folder), page=False))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url="http://localhost") as client:
        for path in ("/", "/page/page.js"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert (await client.get("/docs")).status_code == 200


async def test_only_its_own_files_are_served(client: httpx.AsyncClient) -> None:
    for path in ("/page/", "/page/nothing.js", "/page/../page.py", "/page/%2e%2e/page.py"):
        assert (await client.get(path)).json()["code"] == "not_found"


def test_it_weighs_less_than_60_kilobytes() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 60_000


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_is_inline_or_from_elsewhere(path: Path) -> None:
    content = path.read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"']+", content)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", content)


def test_languages_say_the_same_things_with_the_same_figures() -> None:
    assert set(LANGUAGES) == {"en", "ru"}
    english, russian = (dict(sentences(LANGUAGES[language])) for language in ("en", "ru"))
    for name in english.keys() | russian.keys():
        assert set(re.findall(r"{\w+}", english[name])) == set(re.findall(r"{\w+}", russian[name])), name
        assert english[name].strip()
        assert russian[name].strip()


def test_every_error_and_every_warning_has_words() -> None:
    codes = {kind.code for kind in ErrorKind}
    assert LANGUAGES["en"]["errors"].keys() == codes | {"unreachable", "unknown"}
    assert LANGUAGES["en"]["warnings"].keys() == set(FaceWarning)


def test_every_word_of_the_gate_has_words() -> None:
    assert LANGUAGES["en"]["gate"].keys() == photos._DETAILS.keys()
    assert {"enrolled", "already_enrolled"} <= LANGUAGES["en"].keys()


@pytest.mark.slow
async def test_only_with_a_gallery_the_page_loads_the_view_of_people(bundle_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("00" * 32)
    url = f"sqlite:///{tmp_path / 'gallery.db'}"
    service = create_app(Settings(bundle=str(bundle_folder), gallery=url, gallery_key_file=tmp_path / "key"))
    async with (
        service.router.lifespan_context(service),
        httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url="http://localhost") as client,
    ):
        page = await client.get("/")
        assert HEADERS.items() <= {name.title(): value for name, value in page.headers.items()}.items()
        added = '  <script type="module" src="page/people.js"></script>\n'
        assert page.text.replace(added, "") == (FOLDER / "index.html").read_text(encoding="utf-8")
        assert added in page.text


def test_every_sentence_is_used_and_every_used_one_is_there() -> None:
    content = "".join(path.read_text(encoding="utf-8") for path in FILES)
    used = set(re.findall(r'data-word="(\w+)"', content)) | set(re.findall(r'say\((?:[\w= ]+ \? )?"(\w+)"', content))
    used |= set(re.findall(r'new Photo\("(\w+)"', content)) | set(re.findall(r'submit\(.*?, "(\w+)"', content))
    used |= {"different", "question", "promise", "unknown", "already_enrolled"}  # the other branches of conditions
    used |= {"enrolled", "nearest", "chart_search", "these_two", "chart"}  # as the service says, and what a chart shows
    assert used | {"errors", "gate", "warnings"} == LANGUAGES["en"].keys() | {"errors"}
