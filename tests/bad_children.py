"""What goes wrong in a child process that decodes; loads nothing, as the children do."""

import os
import signal
import time
from typing import Any


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang(*_: Any) -> None:
    time.sleep(60)
