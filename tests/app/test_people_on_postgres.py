"""Two services that share people on one PostgreSQL server, which goes away and comes back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gallery as script
import httpx
import pytest
import recognising
from postgres_cluster import BINARIES, Cluster, started
from recognising import picture
from services import PATIENCE, running, until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BINARIES is None, reason="PostgreSQL's server is not installed")]


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A server that the test may stop."""
    with started() as cluster:
        yield cluster


def answer(address: str, method: str, path: str, **sent: Any) -> httpx.Response:
    return httpx.request(method, f"{address}{path}", timeout=PATIENCE, **sent)


def outcome(address: str, data: bytes) -> tuple[str, str | None]:
    found = answer(address, "POST", "/identify", files={"image": data}).raise_for_status().json()
    return found["outcome"], found["person_id"]


def test_two_replicas_share_people_and_outlive_their_database(
    own_cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = recognising.save_bundle(tmp_path / "recogniser")
    for person in range(3):
        (home := tmp_path / f"people/E{person}").mkdir(parents=True)
        (home / "0.ppm").write_bytes(picture(person))
    (tmp_path / "gallery.key").write_text("00" * 32)
    shared = {"gallery": own_cluster.url, "gallery_key_file": tmp_path / "gallery.key", "fpir": 0.1}
    with running("facepair", bundle, **shared) as (one, _), running("facepair", bundle, **shared) as (other, _):
        script.enrol(tmp_path / "people", one, None, "warn")
        assert "3 people: 3 enrolled" in capsys.readouterr().out
        assert outcome(other, picture(1, 1)) == ("known", "E1")
        assert answer(other, "DELETE", "/people/E1").json()["photos_erased"] == 1
        for replica in (one, other):
            assert outcome(replica, picture(1, 1)) == ("unknown", None)
            assert outcome(replica, picture(2, 1)) == ("known", "E2")

        own_cluster.stop("immediate")
        for replica in (one, other):
            gone = answer(replica, "POST", "/identify", files={"image": picture(2)})
            assert (gone.status_code, gone.json()["code"]) == (503, "gallery_unavailable")
            assert int(gone.headers["Retry-After"]) > 0
            pair = {"image1": picture(2), "image2": picture(2)}
            assert answer(replica, "POST", "/verify", files=pair).json()["same"] is True
            assert answer(replica, "GET", "/readyz").status_code == 200
        own_cluster.start()
        for replica in (one, other):
            until(lambda: answer(replica, "GET", "/people").status_code == 200)  # noqa: B023
            assert outcome(replica, picture(2, 1)) == ("known", "E2")
        assert answer(one, "DELETE", "/people/E2").status_code == 200
        assert outcome(other, picture(2, 1)) == ("unknown", None)
