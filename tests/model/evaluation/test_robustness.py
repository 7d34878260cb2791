import argparse
from pathlib import Path
from typing import Any

import interval_coverage
import makers
import numpy as np
import pytest
import robustness as script
import terminal
from PIL import Image
from service.drawn_faces import portrait

from model import bundle
from model.data.people import DataError
from model.decision import Policy
from model.embedding.embedder import Embedder
from model.evaluation.robustness import KINDS, Point, measure
from model.faces.face import Face
from model.images import Rgb, decode


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_starts_with_none_and_gets_worse(name: str) -> None:
    kind, picture = KINDS[name], Image.fromarray(portrait(1))
    away = [
        float(np.abs(decode(kind.damage(picture, severity)).astype(np.float64) - np.asarray(picture)).mean())
        for severity in kind.severities
    ]
    least = int(np.argmin(away))
    assert away[least] < 2.5  # grey levels
    assert away[least:] == sorted(away[least:])
    assert away[-1] > 3 * max(away[least], 0.5)


@pytest.mark.slow
def test_drawn_people_are_recognised_until_their_picture_is_ruined(tmp_path: Path) -> None:
    embedder = Embedder(bundle.load(bundle.SHIPPED / "default"), threads=1)
    for person in range(4):
        for picture in range(2):
            (tmp_path / f"{person}-{picture}.png").write_bytes(makers.encoded(portrait(person, picture)))
    pairs = [(tmp_path / f"{person}-0.png", tmp_path / f"{person}-1.png") for person in range(4)]
    found = measure(embedder, pairs, Policy(embedder.manifest).operating_point().threshold)
    by_kind = {name: [each for each in found if each.kind == name] for name in KINDS}
    assert all(points[0].generalised_fnmr == 0 for name, points in by_kind.items() if name != "brightness")
    assert any(points[-1].generalised_fnmr == 1 for points in by_kind.values())
    assert {each.pairs for each in found} == {4}
    text = script.report("Four drawn people", found)
    assert text.count("\n| ") == 2 + len(found)


def test_what_is_not_recognised_counts_pictures_without_a_face() -> None:
    point = Point("blur", 2, pairs=10, without_face=3, rejected=2)
    assert point.generalised_fnmr == 0.5
    assert point.ci95[0] < 0.5 < point.ci95[1]


def test_pairs_that_cannot_be_read_are_left_out(embedder: Embedder, tmp_path: Path) -> None:
    home = makers.write_people(tmp_path / "people", people=3, pictures=2)
    pairs = [(home / f"p{person}" / "1.pgm", home / f"p{person}" / "2.pgm") for person in (1, 2, 3)]
    pairs[0][0].write_bytes(b"hello")
    pairs[1][1].write_bytes(b"P5 broken")
    assert {each.pairs for each in measure(embedder, pairs, 0.5)} == {1}
    for nothing in (pairs[:2], []):
        with pytest.raises(DataError, match=f"nobody has two pictures .* {len(nothing)} pairs tried"):
            measure(embedder, nothing, 0.5)


class Recording:
    """An embedder whose finder notes what it is shown."""

    def __init__(self, embedder: Embedder) -> None:
        self.embed, self.faces, self._finder = embedder.embed, self, embedder.faces
        self.shapes: set[tuple[int, ...]] = set()

    def find(self, picture: Rgb) -> Face:
        self.shapes.add(picture.shape)
        return self._finder.find(picture)


def test_both_pictures_are_read_as_serving_reads_them(embedder: Embedder, tmp_path: Path) -> None:
    large = Image.fromarray(makers.face(1)).convert("RGB").resize((1840, 2240))
    for name in ("one.jpg", "two.jpg"):
        (tmp_path / name).write_bytes(makers.encoded(large, "JPEG"))
    recording: Any = Recording(embedder)
    measure(recording, [(tmp_path / "one.jpg", tmp_path / "two.jpg")], threshold=0.0)
    assert recording.shapes == {(1120, 920, 3)}  # reduced, as working_copy does


@pytest.mark.parametrize("text", ["0", "-5", "x", "1.5", ""])
def test_a_number_of_runs_or_people_is_above_zero(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="whole number above zero"):
        terminal.positive(text)
    assert terminal.positive("30") == 30


@pytest.mark.parametrize("arguments", [["--runs", "0"], ["--people", "0"]])
def test_no_runs_are_refused(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("sys.argv", ["interval_coverage.py", *arguments])
    with pytest.raises(SystemExit, match="2"):
        interval_coverage.main()
    assert "'0' is not a whole number above zero" in capsys.readouterr().err


@pytest.mark.parametrize("situation", interval_coverage.SITUATIONS)
def test_intervals_hold_the_truth_as_often_as_they_say(situation: str) -> None:
    found = interval_coverage.coverage(situation, people=40, runs=60, seed=1)
    assert min(each.reported for each in found) >= 0.85
    assert min(each.predicted for each in found) >= 0.85
    if situation == "pairs independent":
        assert min(each.binomial for each in found) >= 0.85
    else:
        assert found[0].binomial < 0.7  # why people are drawn, not pairs
