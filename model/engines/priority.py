"""Who gets a core first where there are fewer cores than work; knows nothing of what is computed."""

import os
import sys

_STEP = 5
"""Of niceness: against a thread that has given way, one that has not gets three times as much of a core."""


def give_way() -> None:
    """From here on the calling thread, and those that it starts, compute with what others leave of the cores.

    Again changes nothing: a thread may give way that was started by one that has.

    What computes takes milliseconds and always wants more. The event loop takes a few microseconds, and everybody waits
    for it: among its equals it came last, so that at ten times the capacity a refusal took seconds. On Linux niceness
    is a thread's own (`man 7 sched`); elsewhere it is the whole process's, and nothing is changed.
    """
    if sys.platform == "linux":
        of_the_loop = os.getpriority(os.PRIO_PROCESS, os.getpid())  # the process's first thread
        os.setpriority(os.PRIO_PROCESS, 0, of_the_loop + _STEP)
