"""What a decoder process does: decodes one picture after another, confined; knows nothing of who asks.

The picture comes, and its pixels go, in a block of memory that both sides share. Beside it go two headers of fixed
form: nothing that a process says is ever unpickled, for a fault of a decoder may have put it in a stranger's hands.
"""

import mmap
import os
import resource
import signal
import socket
import struct
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.images import (
    AnimatedImage,
    CorruptImage,
    ImageLimits,
    ImageTooSmall,
    InvalidImage,
    TooExpensive,
    TooManyPixels,
    UnsupportedFormat,
    copy_of,
    essentials,
)

REQUEST = struct.Struct("!QQd")
"""Number of the picture; bytes of its file; estimated seconds of decoding above which it is not begun."""
ANSWER = struct.Struct("!QBIIII")
"""Number of the picture; outcome; height and width of the pixels, then those of the picture unreduced."""
DECODED, NOT_BEGUN = 0, 1
REFUSALS: dict[int, type[InvalidImage]] = {
    2: UnsupportedFormat,
    3: CorruptImage,
    4: ImageTooSmall,
    5: TooManyPixels,
    6: TooExpensive,
    7: AnimatedImage,
}
_NO_SIZES = (0, 0, 0, 0)


@dataclass(frozen=True)
class ChildLimits:
    """What a child may use: bytes of address space; for one picture, seconds of processor time and of waiting."""

    memory_bytes: int = 2**30
    cpu_seconds: float = 3.0
    wall_seconds: float = 6.0


def block_bytes(limits: ImageLimits, file_bytes: int) -> int:
    """Room for a file of so many bytes, and for the pixels of any working copy."""
    return max(file_bytes, 3 * max(2000 * 2000, limits.max_pixels // 4))


def work(channel: socket.socket, memory: int, limits: ImageLimits, child: ChildLimits) -> None:
    """Answers requests on `channel` until it is closed; `memory` is the descriptor of the shared block.

    A picture that takes more processor time than it may ends the process, by SIGPROF.
    """
    _confine(child.memory_bytes)
    block = mmap.mmap(memory, 0)
    os.close(memory)
    while request := channel.recv(REQUEST.size):
        number, length, most_seconds = REQUEST.unpack(request)
        signal.setitimer(signal.ITIMER_PROF, child.cpu_seconds)
        outcome, sizes = _decode(block, length, limits, most_seconds)
        signal.setitimer(signal.ITIMER_PROF, 0)
        channel.sendall(ANSWER.pack(number, outcome, *sizes))


def _confine(memory_bytes: int) -> None:
    warnings.simplefilter("ignore")  # Pillow warns about what is in a picture: nothing for the log
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # where a container's memory runs out, this process goes rather than the service
        Path("/proc/self/oom_score_adj").write_text("1000")


def _decode(
    block: mmap.mmap, length: int, limits: ImageLimits, most_seconds: float
) -> tuple[int, tuple[int, int, int, int]]:
    """Outcome and sizes, as they stand in an answer; the pixels are in the block."""
    try:
        file = essentials(block[:length], limits)
        if file.seconds > most_seconds:
            return NOT_BEGUN, _NO_SIZES
        copy = copy_of(file, limits)
    except InvalidImage as refusal:
        return next(code for code, kind in REFUSALS.items() if isinstance(refusal, kind)), _NO_SIZES
    height, width, _ = copy.pixels.shape
    np.frombuffer(block, np.uint8, copy.pixels.size).reshape(copy.pixels.shape)[:] = copy.pixels
    return DECODED, (height, width, copy.size[1], copy.size[0])
