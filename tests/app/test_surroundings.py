"""What happens around a service that runs: its bundle is lost, and nothing can be written anywhere."""

import ast
import shutil
import subprocess
from pathlib import Path

import httpx
import makers
import pytest
from services import PATIENCE, WRITES_NOWHERE, running

PICTURE = makers.encoded(makers.face(1), "PPM")


def embedding(address: str) -> list[float]:
    answer = httpx.post(f"{address}/embed", files={"image": PICTURE}, timeout=PATIENCE)
    assert answer.status_code == 200
    numbers: list[float] = answer.json()["embedding"]
    return numbers


def test_a_bundle_changed_or_removed_under_a_service_changes_none_of_its_answers(
    bundle_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(bundle_folder, tmp_path / "bundle"))
    with running("facepair", folder) as (address, _):
        before, served = embedding(address), httpx.get(f"{address}/model").json()
        for path in folder.iterdir():
            if path.is_file():
                path.write_bytes(b"another")
        assert embedding(address) == before
        shutil.rmtree(folder)
        assert embedding(address) == before
        assert httpx.get(f"{address}/readyz", timeout=PATIENCE).status_code == 200
        assert httpx.get(f"{address}/model").json() == served


def test_a_service_that_can_write_nowhere_works(bundle_folder: Path) -> None:
    """As on a full disk, or in a container whose root is read-only and that has no /tmp."""
    if not shutil.which("unshare") or subprocess.run([*WRITES_NOWHERE[:6], "true"], check=False).returncode:
        pytest.skip("this user may not mount anything")
    with running(WRITES_NOWHERE, bundle_folder) as (address, process):
        assert len(embedding(address)) == 50
        large = httpx.post(f"{address}/embed", files={"image": bytes(9 * 2**20)}, timeout=PATIENCE)
        assert large.json()["code"] == "unsupported_image_format"  # and was spooled to no file
        assert httpx.get(f"{address}/readyz", timeout=PATIENCE).status_code == 200
        assert process.poll() is None


def test_what_measures_time_in_the_service_goes_by_no_wall_clock() -> None:
    """The gallery's dates and the self-test's are points in time: these are what a wall clock is for."""
    for path in (makers.ROOT / "app").rglob("*.py"):
        if path.parent.name == "gallery" or path.name == "self_test.py":
            continue
        names = {
            f"{node.value.id}.{node.attr}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        }
        assert not names & {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow"}, path
