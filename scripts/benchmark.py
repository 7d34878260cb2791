"""Measures what Facepair costs: the service under load, beside its peers, by stages; people, pairs, training."""

from collections.abc import Mapping

import terminal
from benchmarks import end_to_end, pair_counting, peers, people, stages, training_loop

COMMANDS: Mapping[str, terminal.Command] = {
    "service": end_to_end,
    "peers": peers,
    "stages": stages,
    "pairs": pair_counting,
    "people": people,
    "training": training_loop,
}

if __name__ == "__main__":
    with terminal.one_line_errors():
        terminal.run_command(__doc__ or "", COMMANDS)
