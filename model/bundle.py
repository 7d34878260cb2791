"""A bundle: one folder, weights.safetensors and manifest.json; saved whole or not at all, loaded strictly."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from model.faces import DETECTORS
from model.manifest import Manifest
from model.network import BACKBONES

WEIGHTS = "weights.safetensors"
MANIFEST = "manifest.json"
SHIPPED = Path(__file__).parent / "bundles"


class BundleError(Exception):
    """The bundle cannot be used or saved; the message is one line, in the operator's terms."""


@dataclass(frozen=True)
class Bundle:
    manifest: Manifest
    weights: dict[str, Tensor]


def find(name_or_folder: str) -> Path:
    """The folder of a shipped bundle's name, or the folder itself. Raises BundleError where there is neither."""
    for folder in (SHIPPED / name_or_folder, Path(name_or_folder)):
        if (folder / MANIFEST).is_file():
            return folder
    shipped = ", ".join(sorted(path.parent.name for path in SHIPPED.glob(f"*/{MANIFEST}")))
    raise BundleError(f"no bundle '{name_or_folder}': neither shipped ({shipped}) nor a folder with a {MANIFEST}")


def load(folder: Path) -> Bundle:
    """The bundle in `folder`. Raises BundleError where anything is missing, unknown, altered or not finite."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
        data = (folder / WEIGHTS).read_bytes()
    except (OSError, msgspec.MsgspecError) as error:
        raise BundleError(f"bundle {folder}: {error}") from error
    if hashlib.sha256(data).hexdigest() != manifest.weights_sha256:
        raise BundleError(f"bundle {folder}: {WEIGHTS} is not the file that the manifest was written for")
    _check_names(folder, manifest)
    return Bundle(manifest, _weights(folder, data))


def save(folder: Path, bundle: Bundle) -> Manifest:
    """Writes the bundle to `folder`, which must not exist yet; on any failure nothing is left behind.

    Returns the manifest as written, with the digest of the weights. Raises BundleError.
    """
    data = safetensors.torch.save(bundle.weights)
    manifest = msgspec.structs.replace(bundle.manifest, weights_sha256=hashlib.sha256(data).hexdigest())
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    try:
        if folder.exists():
            raise BundleError(f"{folder} exists already: choose another folder or remove it")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
            half = Path(scratch) / "bundle"
            half.mkdir()
            _write(half / WEIGHTS, data)
            _write(half / MANIFEST, text + b"\n")
            half.rename(folder)
    except OSError as error:
        raise BundleError(f"cannot save bundle {folder}: {error.strerror}") from error
    return manifest


def _check_names(folder: Path, manifest: Manifest) -> None:
    if manifest.backbone not in BACKBONES:
        raise BundleError(f"bundle {folder}: unknown backbone '{manifest.backbone}'")
    if manifest.detector not in DETECTORS:
        raise BundleError(f"bundle {folder}: unknown detector '{manifest.detector}'")


def _weights(folder: Path, data: bytes) -> dict[str, Tensor]:
    try:
        weights: dict[str, Tensor] = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise BundleError(f"bundle {folder}: {WEIGHTS} is not a safetensors file") from error
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise BundleError(f"bundle {folder}: tensor '{name}' holds values that are not finite")
    return weights


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
