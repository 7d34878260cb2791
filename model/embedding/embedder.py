"""A bundle on an engine: crops in, embeddings out as numpy, and a self-test that proves it; knows no threshold."""

from collections.abc import Sequence
from itertools import combinations
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.bundle import Bundle, finder_of
from model.embedding import backbones
from model.engines import EngineName, engine
from model.faces.face import Crop, CropGeometry, NoFaceFound
from model.faces.golden import golden_face
from model.manifest import BundleError

Embedding: TypeAlias = NDArray[np.float32]
"""float32, shape (embedding_size,)."""

DISTANCE_DECIMALS = 6  # what float32 embeddings can be trusted to, whatever batch they were computed in
_SELF_TEST_TOLERANCE = 1e-3


class SelfTestError(Exception):
    """The network does not give the distances that the bundle recorded: another machine, or damage."""


class Embedder:
    """The network and the face finder of one bundle. Safe to use from one thread at a time."""

    def __init__(
        self,
        bundle: Bundle,
        device: str = "cpu",
        threads: int | None = None,
        engine_name: EngineName = "auto",
    ) -> None:
        """`threads`: cores to embed on; None is all. Raises BundleError where weights, crop and backbone do not fit,
        EngineError where the engine or the device is not there.
        """
        self.manifest = bundle.manifest
        embeds = engine(engine_name, device, threads)
        try:
            self.faces = finder_of(bundle, engine_name)
            network = backbones.network(
                self.manifest.backbone, bundle.weights, self.manifest.crop, mirrored=self.manifest.mirrored
            )
            self._run = embeds.load(network)
        except RuntimeError as error:
            raise BundleError("the weights or the crop do not fit the networks that the manifest names") from error

    def embed(self, crops: Sequence[Crop] | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings of N crops, float32 of shape (N, embedding_size), in the order of the crops."""
        return self._run(np.ascontiguousarray(crops))[0]

    def self_test(self) -> None:
        """Finds the golden face and embeds the golden crops. Raises SelfTestError unless both are as recorded."""
        self._find_golden_face()
        try:
            embeddings = self.embed(golden_crops(self.manifest.crop))
        except RuntimeError as error:
            raise SelfTestError("the network does not take the crop that the manifest names") from error
        check_self_test(embeddings, self.manifest.self_test)

    def _find_golden_face(self) -> None:
        recorded = self.manifest.golden_face
        if recorded is None:
            return
        try:
            seen = golden_face(self.faces)
        except NoFaceFound as error:
            raise SelfTestError("the detector finds no face in the golden picture") from error
        if not seen.agrees(recorded):
            raise SelfTestError(f"the golden face is seen as {seen}, the bundle recorded {recorded}")


def distances(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Euclidean distances of embeddings, row by row, as every part of Facepair counts them: six decimals."""
    difference = first.astype(np.float64) - second
    rounded: NDArray[np.float64] = np.round(np.linalg.norm(difference, axis=-1), DISTANCE_DECIMALS)
    return rounded


def golden_crops(geometry: CropGeometry) -> NDArray[np.uint8]:
    """Four synthetic crops (4, channels, height, width): smooth stripes and rings, the same on every machine."""
    y, x = np.mgrid[0 : geometry.height, 0 : geometry.width] / max(geometry.height, geometry.width)
    radius = np.hypot(y - 0.5, x - 0.4)
    patterns = [np.sin(9 * x), np.sin(14 * y + 3 * x), np.cos(20 * radius), np.cos(11 * radius + 5 * y)]
    pixels = np.round(127.5 + 100 * np.stack(patterns)).astype(np.uint8)
    return np.repeat(pixels[:, np.newaxis], geometry.channels, axis=1)


def self_test_distances(embeddings: NDArray[np.float32]) -> tuple[float, ...]:
    """The distances of all pairs of golden embeddings: what a bundle records when it is made."""
    first, second = np.transpose(list(combinations(range(len(embeddings)), 2)))
    return tuple(distances(embeddings[first], embeddings[second]).tolist())


def check_self_test(embeddings: NDArray[np.float32], recorded: Sequence[float]) -> None:
    """Raises SelfTestError unless the golden embeddings lie as far apart as recorded."""
    measured = self_test_distances(embeddings)
    if not np.allclose(measured, recorded, rtol=_SELF_TEST_TOLERANCE, atol=_SELF_TEST_TOLERANCE):
        raise SelfTestError(f"self-test distances are {measured}, the bundle recorded {tuple(recorded)}")
