"""A process that has loaded what decoding needs and forks decoder processes; decodes nothing itself.

A child forked from it costs milliseconds, and has neither the service's threads nor its memory. It is no part of
`multiprocessing`: that one has a folder of sockets that can be lost, and speaks pickle.
"""

import gc
import os
import socket
import struct
from collections.abc import Callable

from app.inference import decoder_process
from app.inference.decoder_process import ChildLimits
from model.engines.priority import give_way
from model.images import ImageLimits

COMMAND = struct.Struct("!i")
"""0 with two descriptors, a channel and a block of memory: start a child. A process id: tell how that child ended."""
REPLY = struct.Struct("!i")
"""A 0 when the server is ready. Then the new child's process id, or the signal that ended it, or 0; -1: it failed."""


def serve(control: socket.socket, limits: ImageLimits, child: ChildLimits) -> None:
    """Does what it is told on `control` until that is closed. The children live on: each has its own channel."""
    give_way()  # and so do the children
    gc.freeze()  # children share these pages as long as nobody writes to them
    control.sendall(REPLY.pack(0))  # ready
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, COMMAND.size, 2)
        if not message:
            return
        (pid,) = COMMAND.unpack(message)
        control.sendall(REPLY.pack(_ended(pid) if pid else _start(control, descriptors, limits, child)))


def _start(control: socket.socket, descriptors: list[int], limits: ImageLimits, child: ChildLimits) -> int:
    try:
        channel, memory = descriptors
        pid = os.fork()
    except (OSError, ValueError):
        pid = -1
    if pid == 0:
        control.close()
        _run(lambda: decoder_process.work(socket.socket(fileno=channel), memory, limits, child))
    for descriptor in descriptors:
        os.close(descriptor)
    return pid


def _run(work: Callable[[], None]) -> None:
    """`work`, and the end of this process, without a word and without what the server would do at its end."""
    try:
        silent = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(silent, standard)
        work()
    finally:
        os._exit(0)


def _ended(pid: int) -> int:
    """The signal that ended a child, which must have been killed: nobody else has its process id until now."""
    try:
        status = os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return -1
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
