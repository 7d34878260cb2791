"""Sends the requests that schemathesis derives from the OpenAPI document, and judges answers by that document."""

import hashlib
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from campaigns.harness import Outcome, Run
from service.process import serving

# A picture made by chance is no picture: what the document calls valid may be refused all the same.
_NOT_ASKED = "positive_data_acceptance"


@contextmanager
def schemathesis(seed: int, bundle_name: str) -> Iterator[Run]:
    """Each case is one more request of each operation, with and without the service's key; a seed for each chunk."""
    key = secrets.token_urlsafe()

    def run(numbers: Sequence[int]) -> Outcome:
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{service.address}/openapi.json",
            "--header", f"X-API-Key: {key}", "--checks", "all",
            "--exclude-checks", _NOT_ASKED, "--seed", str(seed * 1_000_000 + numbers[0]),
            "--max-examples", str(len(numbers)), "--continue-on-failure", "--warnings", "off", "--no-color",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=scratch)
        outcome = Outcome()
        outcome.counts["runs of schemathesis"] += 1
        if done.returncode:
            outcome.faults.append(f"from case {numbers[0]}: {done.stdout[-4000:]}{done.stderr[-1000:]}")
        return outcome

    with TemporaryDirectory() as scratch:  # where it keeps notes of its own
        keys = Path(scratch) / "keys"
        keys.write_text(f"{hashlib.sha256(key.encode()).hexdigest()} campaign\n", encoding="ascii")
        settings = {"FACEPAIR_BUNDLE": bundle_name, "FACEPAIR_API_KEYS_FILE": str(keys)}
        with serving(settings=settings) as service:
            yield run
