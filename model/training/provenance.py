"""Makes the manifest of a trained network, with where it comes from. It saves nothing."""

import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from model.embedding.embedder import golden_crops, self_test_distances
from model.engines import Run
from model.faces.face import CropGeometry
from model.manifest import Calibration, DataSource, DetectorSpec, Manifest, MtcnnSpec, Training


def manifest_of(
    run: Run,
    name: str,
    crop: CropGeometry,
    recipe: dict[str, str | int | float],
    data: DataSource,
    licences: Sequence[str],
    *,
    detector: DetectorSpec | MtcnnSpec | None = None,
    normalized: bool = False,
    mirrored: bool = False,
    calibration: Calibration | None = None,
    seen_before: Iterable[str] = (),
    undisclosed: Iterable[str] = (),
) -> Manifest:
    """The manifest of a bundle that is about to be saved: digests of the weights are filled in then.

    `run`: the network, loaded; it embeds the golden crops, for the self-test. `recipe` names its `backbone`.
    `seen_before`: manifest entries of the people whom the starting weights had learnt from. `undisclosed`: published
    networks that the weights started from and whose training people are not published.
    """
    (golden,) = run(golden_crops(crop))
    return Manifest(
        name=name,
        version="1",
        backbone=str(recipe["backbone"]),
        embedding_size=golden.shape[1],
        normalized=normalized,
        mirrored=mirrored,
        metric="euclidean",
        crop=crop,
        detector=detector,
        weights_sha256="",
        self_test=self_test_distances(golden),
        licences=tuple(licences),
        training=Training(recipe, data, _commit(), _versions(), tuple(sorted(seen_before)), tuple(undisclosed)),
        calibration=calibration,
    )


def _versions() -> dict[str, str]:
    return {package: version(package) for package in ("facepair", "torch", "numpy", "pillow")}


def _commit() -> str:
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],  # noqa: S607
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return git.stdout.strip() or "unknown"
