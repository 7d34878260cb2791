"""What a decoder process does: confines itself, decodes one picture after another; knows nothing of who asks."""

import resource
import warnings
from dataclasses import dataclass

from model.images import ImageLimits, WorkingCopy, working_copy


@dataclass(frozen=True)
class ChildLimits:
    """What a child may use: bytes of address space; for one picture, seconds of processor time and of waiting."""

    memory_bytes: int = 2**30
    cpu_seconds: int = 5
    wall_seconds: float = 3.0


def confine(memory_bytes: int) -> None:
    """When the process begins."""
    warnings.simplefilter("ignore")  # of Pillow, about what is in a picture: nothing for the log
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def decode(data: bytes, limits: ImageLimits, cpu_seconds: int) -> WorkingCopy:
    """Raises what `model.images.working_copy` does; the process is ended where it takes too long."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + 1 + cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
    return working_copy(data, limits)


def nothing() -> None:
    """Has a child ready before the first picture comes, or shows that one answers."""
