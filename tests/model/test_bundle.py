import hashlib
import json
import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import makers
import msgspec
import numpy as np
import pytest
import safetensors.numpy

from model import bundle
from model.bundle import Bundle
from model.manifest import MANIFEST, BundleError, contract_id


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return makers.save_bundle(tmp_path / "b")


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / MANIFEST
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_what_is_saved_is_loaded(folder: Path) -> None:
    made, loaded = makers.make_bundle("b"), bundle.load(folder)
    assert msgspec.structs.replace(loaded.manifest, weights_sha256="") == made.manifest
    assert loaded.weights.keys() == made.weights.keys()
    for name, array in made.weights.items():
        np.testing.assert_array_equal(loaded.weights[name], array)


def test_the_same_bundle_gives_the_same_files(folder: Path, tmp_path: Path) -> None:
    again = makers.save_bundle(tmp_path / "again" / "b")
    for name in (bundle.WEIGHTS, MANIFEST):
        assert (folder / name).read_bytes() == (again / name).read_bytes()


def test_the_contract_is_the_embedding_space_not_the_calibration(folder: Path, tmp_path: Path) -> None:
    manifest = bundle.load(folder).manifest
    recalibrated = msgspec.structs.replace(manifest, calibration=None, name="other", version="2")
    assert contract_id(recalibrated) == contract_id(manifest)
    retrained = bundle.load(makers.save_bundle(tmp_path / "c", seed=1)).manifest
    recropped = msgspec.structs.replace(manifest, crop=msgspec.structs.replace(manifest.crop, subsample=1))
    assert len({contract_id(manifest), contract_id(retrained), contract_id(recropped)}) == 3


def with_edges(*edges: float, counts: Sequence[int] = ()) -> dict[str, Any]:
    """The calibration of a shipped bundle, with a histogram of these edges and counts."""
    calibration: dict[str, Any] = json.loads((bundle.SHIPPED / "tutorial" / MANIFEST).read_text())["calibration"]
    calibration["histograms"]["size_px"] = {"edges": edges, "counts": counts}
    return calibration


_HEADER = b'{"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}'
HALF = len(_HEADER).to_bytes(8, "little") + _HEADER + bytes(4)
"""Two weights as safetensors keeps them in half precision of PyTorch's kind."""


def replace_by_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "altered weights": (
        lambda f: (f / bundle.WEIGHTS).write_bytes((f / bundle.WEIGHTS).read_bytes()[:-1] + b"\x01"),
        "not the file that the manifest was written for",
    ),
    "missing weights": (lambda f: (f / bundle.WEIGHTS).unlink(), "No such file"),
    "a pipe for weights": (lambda f: replace_by_a_pipe(f / bundle.WEIGHTS), "no regular file"),
    "missing manifest": (lambda f: (f / MANIFEST).unlink(), "No such file"),
    "unknown field": (lambda f: edit(f, lambda m: m.update(extra=1)), "unknown field `extra`"),
    "missing field": (lambda f: edit(f, lambda m: m.pop("metric")), "missing required field `metric`"),
    "half an operating point": (
        lambda f: edit(f, lambda m: m["calibration"]["levels"][0]["operating_point"].pop("fnmr")),
        "missing required field `fnmr`",
    ),
    "unknown detector": (
        lambda f: edit(f, lambda m: m.update(detector={"name": "x", "weights_sha256": "", "search": {}})),
        "Invalid value 'x'",
    ),
    "no JSON": (lambda f: (f / MANIFEST).write_text("{"), "truncated"),
    "a name that is not UTF-8": (
        lambda f: (f / MANIFEST).write_bytes((f / MANIFEST).read_bytes().replace(b'"name": "b"', b'"name": "\xff"')),
        "can't decode byte 0xff",
    ),
    "a self-test of other crops": (
        lambda f: edit(f, lambda m: m["self_test"].pop()),
        r"length >= 6 - at `\$.self_test`",
    ),
    "a histogram without bins": (lambda f: edit(f, lambda m: m.update(calibration=with_edges())), "one more edge"),
    "a histogram with an edge too few": (
        lambda f: edit(f, lambda m: m.update(calibration=with_edges(0.5, counts=[1]))),
        "one more edge",
    ),
    "falling edges": (
        lambda f: edit(f, lambda m: m.update(calibration=with_edges(1, 0.5, counts=[1]))),
        r"edges of a histogram rise - at `\$.calibration.histograms.size_px`",
    ),
    "numbers that numpy lacks": (lambda f: replace_weights(f, HALF), "numbers of type 'BF16'"),
    "a newer format": (lambda f: edit(f, lambda m: m.update(format=2)), "Invalid enum value 2"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_bundle_is_refused_in_one_clear_line(folder: Path, name: str) -> None:
    damage, message = FAULTS[name]
    damage(folder)
    with pytest.raises(BundleError, match=message) as caught:
        bundle.load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def replace_weights(folder: Path, data: bytes) -> None:
    (folder / bundle.WEIGHTS).write_bytes(data)
    edit(folder, lambda m: m.update(weights_sha256=hashlib.sha256(data).hexdigest()))


def test_weights_that_are_not_finite_are_refused(folder: Path) -> None:
    weights = dict(makers.make_bundle().weights)
    weights["layers.9.bias"][3] = float("nan")
    replace_weights(folder, safetensors.numpy.save(weights))
    with pytest.raises(BundleError, match=r"'layers\.9\.bias' holds values that are not finite"):
        bundle.load(folder)


def test_a_pickle_is_refused_unread(folder: Path) -> None:
    replace_weights(folder, pickle.dumps({"a": 1}))
    with pytest.raises(BundleError, match="not a safetensors file"):
        bundle.load(folder)


def test_an_existing_folder_is_never_overwritten(folder: Path) -> None:
    before = (folder / bundle.WEIGHTS).read_bytes()
    with pytest.raises(BundleError, match="exists already"):
        bundle.save(folder, makers.make_bundle(seed=1))
    assert (folder / bundle.WEIGHTS).read_bytes() == before


def test_a_failed_save_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BundleError, match="cannot save bundle"):
        bundle.save(tmp_path / "file" / "b", makers.make_bundle())
    with pytest.raises(BundleError, match="File name too long"):
        bundle.save(tmp_path / ("b" * 300), makers.make_bundle())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_bundle_is_found_by_folder_or_shipped_name(folder: Path) -> None:
    assert bundle.find(str(folder)) == folder
    assert bundle.find("tutorial") == bundle.SHIPPED / "tutorial"
    with pytest.raises(BundleError, match=r"no bundle 'nothing': neither shipped \(.*tutorial.*\) nor a folder"):
        bundle.find("nothing")


def test_a_manifest_from_before_starts_were_remembered_is_loaded(folder: Path) -> None:
    edit(folder, lambda m: m["training"].pop("seen_before"))
    assert bundle.load(folder).manifest.training.seen == frozenset()


@pytest.mark.parametrize("name", sorted(path.name for path in bundle.SHIPPED.iterdir()))
def test_every_shipped_bundle_loads(name: str) -> None:
    loaded: Bundle = bundle.load(bundle.find(name))
    assert loaded.manifest.name == name
    assert loaded.manifest.calibration is not None
    assert not set(loaded.manifest.training.data.people) & set(loaded.manifest.calibration.data.people)
