"""What goes wrong in a child process that decodes; loads nothing, as the children do."""

import os
import resource
import signal
import time
from typing import Any


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang(*_: Any) -> None:
    time.sleep(60)


def doze(*_: Any) -> None:
    time.sleep(0.5)


def work(seconds: float) -> None:
    while time.process_time() < seconds:
        pass


def processor_time() -> tuple[float, float]:
    """What it may have in all, and what it has had."""
    return resource.getrlimit(resource.RLIMIT_CPU)[0], time.process_time()
