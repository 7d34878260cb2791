"""Campaign: damaged pictures, decoded in this process; a crash of the decoder is a crash of the campaign."""

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from campaigns.damaged_pictures import damaged
from campaigns.harness import Outcome, Run

from model.images import InvalidImage, working_copy

_SLOW_SECONDS = 3.0


@contextmanager
def decode_in_process(seed: int, _: str) -> Iterator[Run]:
    """Each case is decoded, or refused for one of the known reasons, soon."""

    def run(numbers: Sequence[int]) -> Outcome:
        outcome = Outcome()
        for number in numbers:
            data, started = damaged(seed, number), time.process_time()
            try:
                working_copy(data)
                outcome.counts["decoded"] += 1
            except InvalidImage as refusal:
                outcome.counts[type(refusal).__name__] += 1
            except Exception as error:
                outcome.faults.append(f"case {number}: {error!r}")
            if time.process_time() - started > _SLOW_SECONDS:
                outcome.faults.append(f"case {number} took {time.process_time() - started:.1f} s")
        return outcome

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of broken EXIF
        yield run
