"""Prints the service's OpenAPI document, with or without a gallery: the snapshots that the tests compare with."""

import json
import sys
import tempfile
from pathlib import Path

from app.main import create_app
from app.settings import Settings

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        key = Path(scratch) / "key"
        key.write_text("00" * 32)
        gallery = f"sqlite:///{scratch}/gallery.db" if sys.argv[1:] == ["--gallery"] else None
        print(json.dumps(create_app(Settings(gallery=gallery, gallery_key_file=key)).openapi(), indent=1))
