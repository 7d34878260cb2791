"""Writes figures as JSON that people can read too; knows not what they are."""

from pathlib import Path

import msgspec


def write_json(path: Path, figures: object) -> None:
    """`figures`: anything that msgspec encodes. The file ends with a line's end."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n")
