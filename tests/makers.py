"""Makes what the tests need: pictures, folders of people and real, tiny bundles. No photo of anybody."""

import hashlib
import io
import math
import os
import struct
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from model import bundle
from model.bundle import Bundle
from model.data.dataset import Dataset
from model.data.people import Fingerprint
from model.embedding.backbones import BACKBONES, network
from model.embedding.embedder import golden_crops, self_test_distances
from model.engines import Engine, engine
from model.engines.layers import Layers, Signal
from model.engines.on_torch import Torch, TorchLayers
from model.error_rates.scores import Scores
from model.evaluation.calibration import calibrate
from model.faces.face import CropGeometry, FaceWarning, Quality
from model.manifest import Calibration, DataSource, Manifest, Training
from model.training.tutorial import TUTORIAL_CROP, initial_weights

ROOT = Path(__file__).parent.parent
_PLACES = [Path(os.environ["DATA"])] if "DATA" in os.environ else [ROOT / "data", ROOT.parent / "shared/data"]
DATA = next((place for place in _PLACES if place.is_dir()), _PLACES[0])
"""A folder with the data sets: `make test DATA=...`, or `data/`, or one beside the checkout. Without it tests skip."""
CALIBRATION_DATA = DataSource("simulated", "0" * 64, 80, tuple(f"person-{i}" for i in range(40)))


def face(person: int, picture: int = 0, width: int = 92, height: int = 112) -> NDArray[np.uint8]:
    """A grey pattern (height, width): the same blobs for one person, moved a little from picture to picture."""
    rng = np.random.default_rng([person, 77])
    y, x = np.mgrid[0:height, 0:width] / height
    jitter = np.random.default_rng([person, picture]).normal(0, 0.01, size=2)
    total = np.zeros((height, width))
    for cy, cx, size, weight in rng.uniform([0, 0, 0.05, -1], [1, 0.8, 0.3, 1], size=(8, 4)):
        distance = (y - cy - jitter[0]) ** 2 + (x - cx - jitter[1]) ** 2
        total += weight * np.exp(-distance / size**2)
    return np.clip(128 + 90 * total, 0, 255).astype(np.uint8)


def encoded(pixels: NDArray[Any] | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The pixels as a file of this kind."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def bare_webp(width: int, height: int) -> bytes:
    """The header of a lossless WebP of this size, and nothing to decode."""
    body = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + bytes(41)
    chunk = b"VP8L" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def turned(pixels: NDArray[np.uint8], orientation: int) -> bytes:
    """A PNG that stores the picture turned or mirrored, and says so in its EXIF orientation (1..8)."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transpositions that a camera so held applies
    image = Image.fromarray(pixels)
    if orientation > 1:
        image = image.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, exif=exif)


def known_by(folder: Path) -> set[str]:
    """The digests by which bundles may know the person whose pictures these are: of all, as once, and of each."""
    digests = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir())
    return {hashlib.sha256("".join(digests).encode()).hexdigest()[:12], *(sha256[:10] for sha256 in digests)}


def write_people(folder: Path, people: int, pictures: int) -> Path:
    """A folder of identities: p1, p2 ... with 1.pgm, 2.pgm ... each."""
    for person in range(people):
        home = folder / f"p{person + 1}"
        home.mkdir(parents=True)
        for picture in range(pictures):
            (home / f"{picture + 1}.pgm").write_bytes(encoded(face(person, picture), "PPM"))
    return folder


CROPS = {
    "tutorial": TUTORIAL_CROP,
    "resnet29": CropGeometry(height=150, width=150, channels=3),
    "sface": CropGeometry(height=112, width=112, channels=3),
}
"""What each backbone takes."""


class Drawing(TorchLayers):
    """Draws the weights that a network asks for; they keep signals about as large as they are."""

    def __init__(self) -> None:
        self.drawn: dict[str, torch.Tensor] = {}
        super().__init__(self.drawn)
        self._generator = torch.Generator().manual_seed(0)

    def _weight(self, name: str, *shape: int) -> torch.Tensor:
        spread = max(1.0, math.prod(shape[1:])) ** -0.5
        self.drawn[name] = spread * torch.randn(shape, generator=self._generator)
        return super()._weight(name, *shape)


def drawn(written: Callable[[Layers, Signal], Signal], *shape: int) -> dict[str, NDArray[np.float32]]:
    """Random weights of a network that takes one input of this shape."""
    layers = Drawing()
    written(layers, torch.zeros(1, *shape, dtype=torch.uint8))
    return {name: tensor.numpy() for name, tensor in layers.drawn.items()}


def drawn_weights(backbone: str) -> dict[str, NDArray[np.float32]]:
    crop = CROPS[backbone]
    return drawn(BACKBONES[backbone], crop.channels, crop.height, crop.width)


def engines() -> list[Engine]:
    """PyTorch, and OpenVINO where it is installed."""
    return [engine("torch"), *([engine("openvino", threads=1)] if find_spec("openvino") else [])]


def simulated_scores(people: int = 40, pictures: int = 2, seed: int = 0) -> Scores:
    """Scores of all pairs of pictures on a line, where those of one person lie close together."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), pictures)
    place = np.repeat(rng.uniform(0, 10, people), pictures) + rng.normal(0, 0.1, people * pictures)
    first, second = np.triu_indices(len(labels), k=1)
    distance = np.round(np.abs(place[first] - place[second]), 6).astype(np.float64)
    return Scores(distance, labels[first] == labels[second], labels[first], labels[second])


def make_bundle(name: str = "tiny", seed: int = 0, calibration: Calibration | None = None) -> Bundle:
    """The tutorial's network with random weights; operating points from simulated scores unless given."""
    weights = initial_weights(seed)
    (golden,) = Torch().load(network("tutorial", weights, TUTORIAL_CROP))(golden_crops(TUTORIAL_CROP))
    manifest = Manifest(
        name=name,
        version="1",
        backbone="tutorial",
        embedding_size=golden.shape[1],
        normalized=False,
        mirrored=False,
        metric="euclidean",
        crop=TUTORIAL_CROP,
        detector=None,
        weights_sha256="",
        self_test=self_test_distances(golden),
        licences=("none: random weights",),
        training=Training({"seed": seed}, DataSource("none", "0" * 64, 0, ()), "unknown", {}),
        calibration=calibration or calibrate(simulated_scores(), CALIBRATION_DATA),
    )
    return Bundle(manifest, weights)


def save_bundle(folder: Path, seed: int = 0) -> Path:
    bundle.save(folder, make_bundle(folder.name, seed))
    return folder


EMBEDDED_PEOPLE = 60


def embedded_people(spread: float = 0.4, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings of unit length around a centre each, four a person; the last ten people have one."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(EMBEDDED_PEOPLE), [4] * (EMBEDDED_PEOPLE - 10) + [1] * 10)
    values = rng.normal(size=(EMBEDDED_PEOPLE, 16))[labels] + rng.normal(0, spread, (len(labels), 16))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32), labels


def pairs_of_pictures(people: int, warnings: tuple[tuple[FaceWarning, ...], ...] = ()) -> Dataset:
    """A data set of two pictures a person, which nobody looks at: only whose they are counts."""
    return Dataset(
        name="cube",
        people=tuple(f"p{i}" for i in range(people)),
        fingerprints=tuple(Fingerprint(f"f{i}", ()) for i in range(people)),
        crops=np.zeros((2 * people, 1, 2, 2), np.uint8),
        labels=np.repeat(np.arange(people), 2),
        files=("x",) * 2 * people,
        qualities=(Quality(80, 0.5, 0.5, 0.0),) * 2 * people,
        warnings=warnings,
    )
