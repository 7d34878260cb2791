"""Loads and saves bundles: one folder with manifest.json and the weights it names. Loads strictly, saves whole."""

import hashlib
import os
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np
import safetensors
import safetensors.numpy

from model.engines import EngineName, Weights, engine
from model.faces.detector import YuNetDetector
from model.faces.face import FaceFinder, NoFaceFound
from model.faces.finder import AlignedFaceFinder, WholePicture, as_detected
from model.faces.golden import GoldenFace, golden_face
from model.faces.networks import loaded
from model.faces.refinement import OnetRefiner
from model.manifest import MANIFEST, BundleError, Calibration, Manifest, MtcnnSpec, read

WEIGHTS = "weights.safetensors"
DETECTOR = "detector.safetensors"
SHIPPED = Path(__file__).parent / "bundles"


@dataclass(frozen=True)
class Bundle:
    manifest: Manifest
    weights: Weights
    detector_weights: Weights = field(default_factory=dict)

    def recalibrated(self, name: str, calibration: Calibration) -> "Bundle":
        """The same networks with other operating points, under a name of its own; the contract id stays."""
        return replace(self, manifest=msgspec.structs.replace(self.manifest, name=name, calibration=calibration))


def find(name_or_folder: str) -> Path:
    """The folder of a shipped bundle's name, or the folder itself. Raises BundleError where there is neither."""
    for folder in (SHIPPED / name_or_folder, Path(name_or_folder)):
        if (folder / MANIFEST).is_file():
            return folder
    shipped = ", ".join(sorted(path.parent.name for path in SHIPPED.glob(f"*/{MANIFEST}")))
    raise BundleError(f"no bundle '{name_or_folder}': neither shipped ({shipped}) nor a folder with a {MANIFEST}")


def load(folder: Path) -> Bundle:
    """The bundle in `folder`. Raises BundleError where anything is missing, unknown, altered or not finite."""
    manifest = read(folder)
    detector = manifest.detector
    return Bundle(
        manifest,
        _weights(folder / WEIGHTS, manifest.weights_sha256),
        _weights(folder / DETECTOR, detector.weights_sha256) if detector else {},
    )


def finder_of(bundle: Bundle, engine_name: EngineName = "auto") -> FaceFinder:
    """Builds the face finder that the manifest names; YuNet and ONet compute on one core.

    Raises RuntimeError where the detector's weights do not fit, EngineError where the engine is not there.
    """
    detector, crop = bundle.manifest.detector, bundle.manifest.crop
    if detector is None:
        return WholePicture(crop)
    if isinstance(detector, MtcnnSpec):
        engine("torch")  # says so where it is not installed; bundles of today can do without
        from model.faces.mtcnn import Mtcnn

        return AlignedFaceFinder(Mtcnn(bundle.detector_weights, detector.search), as_detected, crop)
    yunet, onet = loaded(bundle.detector_weights, engine(engine_name, threads=1))
    return AlignedFaceFinder(YuNetDetector(yunet, detector.search), OnetRefiner(onet, detector.search).refine, crop)


def save(folder: Path, bundle: Bundle) -> Manifest:
    """Writes the bundle to `folder`, which must not exist yet; on any failure nothing is left behind.

    Returns the manifest as written, with the digests of the weights and the golden face. Raises BundleError.
    """
    weights, detector_weights = (_packed(tensors) for tensors in (bundle.weights, bundle.detector_weights))
    detector = bundle.manifest.detector
    manifest = msgspec.structs.replace(
        bundle.manifest,
        weights_sha256=_digest(weights),
        detector=detector and msgspec.structs.replace(detector, weights_sha256=_digest(detector_weights)),
        golden_face=_golden_face(bundle) if detector else None,
    )
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    try:
        if folder.exists():
            raise BundleError(f"{folder} exists already: choose another folder or remove it")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
            half = Path(scratch) / "bundle"
            half.mkdir()
            _write(half / WEIGHTS, weights)
            if detector:
                _write(half / DETECTOR, detector_weights)
            _write(half / MANIFEST, text + b"\n")
            half.rename(folder)
    except OSError as error:
        raise BundleError(f"cannot save bundle {folder}: {error.strerror}") from error
    return manifest


def _golden_face(bundle: Bundle) -> GoldenFace:
    try:
        return golden_face(finder_of(bundle))
    except (RuntimeError, NoFaceFound) as error:
        raise BundleError(
            "the detector does not find the golden face: its weights do not fit, or are damaged"
        ) from error


def _packed(weights: Weights) -> bytes:
    # What is written are the bytes in memory, whatever their order: of an array that is a view, another one.
    return safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in weights.items()})


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _weights(path: Path, sha256: str) -> Weights:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise BundleError(f"bundle {path.parent}: {path.name} is no regular file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"bundle {path.parent}: {error}") from error
    if _digest(data) != sha256:
        raise BundleError(f"bundle {path.parent}: {path.name} is not the file that the manifest was written for")
    try:
        weights = safetensors.numpy.load(data)
    except safetensors.SafetensorError as error:
        raise BundleError(f"bundle {path.parent}: {path.name} is not a safetensors file") from error
    except KeyError as error:
        raise BundleError(
            f"bundle {path.parent}: {path.name} holds numbers of type {error}, which numpy lacks"
        ) from error
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise BundleError(f"bundle {path.parent}: tensor '{name}' holds values that are not finite")
    return weights


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
