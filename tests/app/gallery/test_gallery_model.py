"""Random operations on both stores. With `GALLERY_STEPS=10000` in the environment, so many."""

import os
from collections.abc import Callable

from gallery_machine import machine
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

STEPS_AT_ONCE = 25
STEPS = int(os.environ.get("GALLERY_STEPS", "250"))


def test_random_operations_do_what_the_model_does(new_url: Callable[[], str]) -> None:
    run_state_machine_as_test(
        machine(new_url),
        settings=settings(
            max_examples=STEPS // STEPS_AT_ONCE,
            stateful_step_count=STEPS_AT_ONCE,
            deadline=None,
            derandomize=STEPS == 250,
            suppress_health_check=list(HealthCheck),
        ),
    )
