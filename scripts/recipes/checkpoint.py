"""Keeps a training run's state on disk: writes it whole after each report, reads it back without running code."""

import io
from pathlib import Path
from typing import Any, Protocol

import terminal
import torch

from model.data.people import DataError


class Resumable(Protocol):
    """A run between two reports."""

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: dict[str, Any]) -> None: ...


def beside(bundle_folder: Path) -> Path:
    return bundle_folder.with_name(f"{bundle_folder.name}.checkpoint")


def save(path: Path, run: Resumable, data_sha256: str) -> None:
    packed = io.BytesIO()  # writing by itself, torch says nothing of a full disk that anybody could understand
    torch.save({"data": data_sha256, "run": run.state()}, packed)
    with terminal.replacing(path) as file:
        file.write(packed.getbuffer())


def restore(path: Path, run: Resumable, data_sha256: str) -> None:
    """Brings `run` to where the checkpoint left off. Raises DataError where it was made with anything else."""
    if not path.exists():
        print(f"nothing to resume at {path}: starting anew")
        return
    try:
        saved = torch.load(path, weights_only=True)
        if saved["data"] != data_sha256:
            raise ValueError("the pictures are not those that it was made with")
        run.restore(saved["run"])
    except Exception as error:  # a foreign file fails in as many ways as there are files
        raise DataError(f"cannot resume from {path}: {error or type(error).__name__}") from error
    print(f"resuming from {path}")
