"""Runs robustness campaigns: many seeded cases of damage or trouble, none of which may harm the service.

A campaign can be split into shards, stopped and continued: its state file keeps what was done.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import terminal
from campaigns import expensive_pictures, requests, starvation
from campaigns import openapi_fuzz as schema
from campaigns import signals as faults
from campaigns.harness import Campaign, Outcome

CAMPAIGNS: Mapping[str, Campaign] = {
    "decode": requests.decode_in_process,
    "costs": expensive_pictures.most_expensive,
    "http": requests.damaged_pictures,
    "sockets": requests.malformed_requests,
    "swaps": requests.swapped_answers,
    "soak": requests.soak,
    "schema": schema.schemathesis,
    "starvation": starvation.starvation,
    "kills": faults.decoder_kills,
    "terms": faults.terminations,
}

_GROWTH_CASES = 100_000
_MOST_GROWTH = 1.0  # MiB in so many cases


class State(msgspec.Struct):
    """The progress of a shard. `samples`: cases done and the service's megabytes then, since the service started."""

    campaign: str
    seed: int
    shard: str
    done: int = 0
    seconds: float = 0.0
    counts: dict[str, int] = {}
    faults: list[str] = []
    samples: list[tuple[int, float]] = []

    def add(self, outcome: Outcome, cases: int, seconds: float) -> None:
        self.done += cases
        self.seconds += seconds
        for name, count in outcome.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        self.faults += outcome.faults
        if outcome.megabytes:
            self.samples.append((self.done, outcome.megabytes))


def main(arguments: Sequence[str] | None = None, campaigns: Mapping[str, Campaign] = CAMPAIGNS) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("campaign", choices=campaigns)
    parser.add_argument("--cases", type=int, required=True, help="number of cases, of all shards together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shard", default="0/1", help="number of this shard (from 0) / number of shards")
    parser.add_argument("--bundle", default="tutorial", help="the bundle to serve; a smaller one allows more cases")
    parser.add_argument("--chunk", type=int, default=200, help="cases between two saves of the state")
    parser.add_argument("--state", type=Path, default=Path("runs/campaigns"), help="folder of the state files")
    options = parser.parse_args(arguments)
    path = options.state / f"{options.campaign}-{options.seed}-{options.shard.replace('/', '-of-')}.json"
    state = State(options.campaign, options.seed, options.shard)
    if path.exists():
        state = msgspec.json.decode(path.read_bytes(), type=State)
        state.samples = []
    number, shards = (int(part) for part in options.shard.split("/"))
    cases = range(number, options.cases, shards)
    with campaigns[options.campaign](options.seed, options.bundle) as run:
        for start in terminal.progress("chunk")(range(state.done, len(cases), options.chunk)):
            chunk = cases[start : start + options.chunk]
            started = time.perf_counter()
            state.add(run(chunk), len(chunk), time.perf_counter() - started)
            with terminal.replacing(path) as file:
                file.write(msgspec.json.encode(state))
    print(_figures(state))
    if state.faults or _growth(state) > _MOST_GROWTH:
        sys.exit(1)


def _figures(state: State) -> str:
    lines = [
        f"{state.campaign}: {state.done} cases of seed {state.seed}, shard {state.shard}, "
        f"{state.done / max(state.seconds, 1e-9):.1f} a second, {len(state.faults)} faults",
        *(f"  {count} {name}" for name, count in sorted(state.counts.items())),
        *(f"  FAULT {fault}" for fault in state.faults[:20]),
    ]
    if state.samples:
        first, last = state.samples[0][1], state.samples[-1][1]
        lines.append(f"  {first:.0f} to {last:.0f} MiB, {_growth(state):+.2f} MiB in 100,000 cases")
    return "\n".join(lines)


def row(state: State) -> list[str]:
    """Cells of a table: the campaign, its cases, faults, and what came of most of them."""
    most = sorted(state.counts.items(), key=lambda item: -item[1])[:4]
    outcome = ", ".join(f"{count:,} {name}" for name, count in most)
    return [f"`{state.campaign}`", f"{state.done:,}", f"{len(state.faults)}", outcome]


def _growth(state: State) -> float:
    """MiB in 100,000 cases: the slope, once there were as many; the first tenth warms up."""
    if state.done < _GROWTH_CASES or not state.samples:
        return 0.0
    done, megabytes = zip(*state.samples[len(state.samples) // 10 :], strict=True)
    return float(np.polyfit(done, megabytes, 1)[0]) * _GROWTH_CASES


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
