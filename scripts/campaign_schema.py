"""Campaign: requests that schemathesis derives from the OpenAPI document, answers judged by it."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from campaigns import Outcome, Run, troubled
from service_process import Running

# A picture made by chance is no picture: what the document calls valid may be refused all the same.
_NOT_ASKED = "positive_data_acceptance"


@contextmanager
def schemathesis(seed: int, bundle_name: str) -> Iterator[Run]:
    """Each case is one more request of each operation; another seed for each chunk."""

    def run(service: Running, numbers: Sequence[int]) -> Outcome:
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{service.address}/openapi.json",
            "--checks", "all", "--exclude-checks", _NOT_ASKED, "--seed", str(seed * 1_000_000 + numbers[0]),
            "--max-examples", str(len(numbers)), "--continue-on-failure", "--warnings", "off", "--no-color",
        ]  # fmt: skip
        with TemporaryDirectory() as scratch:  # where it keeps notes of its own
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=scratch)
        outcome = Outcome()
        outcome.counts["runs of schemathesis"] += 1
        if done.returncode:
            outcome.faults.append(f"from case {numbers[0]}: {done.stdout[-4000:]}{done.stderr[-1000:]}")
        return outcome

    with troubled(bundle_name, run) as troubling:
        yield troubling
