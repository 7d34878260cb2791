"""Measures what Facepair costs: the whole service under load, one face stage by stage, pair counting, training."""

from collections.abc import Mapping

import terminal
from benchmarks import end_to_end, pair_counting, stages, training_loop

COMMANDS: Mapping[str, terminal.Command] = {
    "service": end_to_end,
    "stages": stages,
    "pairs": pair_counting,
    "training": training_loop,
}

if __name__ == "__main__":
    with terminal.one_line_errors():
        terminal.run_command(__doc__ or "", COMMANDS)
