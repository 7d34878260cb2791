"""Threads that compute give way to the first thread of their process, all by the same."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from model.engines.priority import give_way

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no niceness of its own")


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def test_a_thread_gives_way_as_far_as_the_one_that_started_it() -> None:
    with ThreadPoolExecutor(1, initializer=give_way) as outer:

        def inside() -> int:
            with ThreadPoolExecutor(1, initializer=give_way) as inner:
                return inner.submit(niceness).result()

        once, twice = outer.submit(niceness).result(), outer.submit(inside).result()
    assert niceness() < once == twice
