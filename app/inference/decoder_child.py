"""The service's side of the decoder processes: starting, asking and ending them; knows nothing of who wants what.

What a process answers is not trusted: only headers of the fixed form with sizes that fit are taken.
"""

import asyncio
import fcntl
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from app.inference.decoder_process import ANSWER, DECODED, NOT_BEGUN, REFUSALS, REQUEST, ChildLimits, block_bytes
from app.inference.decoder_server import COMMAND, REPLY
from model.images import ImageLimits, WorkingCopy

_SERVER = """
import socket
from app.inference.decoder_server import ChildLimits, ImageLimits, serve
serve(socket.socket(fileno={control}), {limits!r}, {child!r})
"""
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",  # a process with threads must not fork
    "OMP_NUM_THREADS": "1",
    # glibc's: keep memory for the next picture. Asking for it anew took more time than decoding 500 x 500 pixels.
    "MALLOC_MMAP_THRESHOLD_": str(2**24),
    "MALLOC_TRIM_THRESHOLD_": str(2**24),
}
_REPLY_SECONDS = 3.0
_BOOT_SECONDS = 20.0  # to load numpy and Pillow, on a busy machine


class LostError(Exception):
    """The process says what it must not, or has ended."""


class EndedError(LostError):
    """The process ended over a picture."""


class NotBegunError(Exception):
    """The picture takes more work than was allowed."""


class Child:
    """One decoder process. `on_end` is called when it ends or speaks unasked, not while it is asked."""

    def __init__(self, pid: int, channel: socket.socket, block: mmap.mmap, limits: ImageLimits) -> None:
        self.pid = pid
        self.on_end: Callable[[], object] = lambda: None
        self._channel = channel
        self._block = block
        self._limits = limits
        self._number = 0
        self._ended = False
        self._answer: asyncio.Future[bytes] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(channel.fileno(), self._readable)

    @property
    def working(self) -> bool:
        """Whether it has a picture, and is within its time."""
        return self._answer is not None

    async def ask(self, data: bytes, most_seconds: float, wall_seconds: float) -> WorkingCopy:
        """One picture at a time. Raises what the process refuses it with, NotBegunError, LostError, TimeoutError, or
        ConnectionError where the process had ended before.
        """
        if self._ended:
            raise ConnectionResetError
        self._number += 1
        self._block[: len(data)] = data
        self._channel.send(REQUEST.pack(self._number, len(data), most_seconds))
        self._answer = self._loop.create_future()
        try:
            async with asyncio.timeout(wall_seconds):
                return self._read(await self._answer)
        finally:
            self._answer = None

    def end(self) -> None:
        """Kills the process, whatever it does."""
        if self._ended:
            return
        self._ended = True
        self._loop.remove_reader(self._channel.fileno())
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._channel.close()
        self._block.close()

    def _readable(self) -> None:
        try:
            answer = self._channel.recv(ANSWER.size + 1)
        except OSError:
            answer = b""
        if self._answer is None:
            self.on_end()
        elif not self._answer.done():
            self._answer.set_result(answer)

    def _read(self, answer: bytes) -> WorkingCopy:
        if not answer:
            raise EndedError
        if len(answer) != ANSWER.size:
            raise LostError
        number, outcome, *sizes = ANSWER.unpack(answer)
        if number != self._number:
            raise LostError
        if outcome == NOT_BEGUN:
            raise NotBegunError
        if outcome in REFUSALS:
            raise REFUSALS[outcome]
        height, width, whole_height, whole_width = sizes
        size = 3 * height * width
        fits = 0 < height <= whole_height and 0 < width <= whole_width and size <= len(self._block)
        if outcome != DECODED or not fits or whole_height * whole_width > self._limits.max_pixels:
            raise LostError
        # A copy: the process may still write to the block, and the next picture will.
        pixels = np.frombuffer(self._block, np.uint8, size).reshape(height, width, 3).copy()
        return WorkingCopy(pixels, (whole_width, whole_height))


@dataclass(frozen=True)
class Server:
    """The process that forks decoder processes."""

    process: "subprocess.Popen[bytes]"
    control: socket.socket
    lock: asyncio.Lock

    @classmethod
    async def start(cls, limits: ImageLimits, child: ChildLimits) -> "Server":
        """A server that is ready. Raises OSError, of which TimeoutError is one."""
        ours, its = socket.socketpair()
        with its:
            code = _SERVER.format(control=its.fileno(), limits=limits, child=child)
            try:
                # In a group of its own: what the terminal sends to the service's group is not for it.
                process = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-c", code],
                    env=os.environ | _ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(sys.path)},
                    stdin=subprocess.DEVNULL,
                    pass_fds=[its.fileno()],
                    process_group=0,
                )
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        server = cls(process, ours, asyncio.Lock())
        try:
            await server._reply(_BOOT_SECONDS)
        except BaseException:
            server.close()
            raise
        return server

    async def child(self, limits: ImageLimits, file_bytes: int) -> Child:
        """A new decoder process. Raises OSError, of which TimeoutError is one."""
        channel, its = socket.socketpair()
        memory = _memory(block_bytes(limits, file_bytes))
        try:
            pid = await self._command(0, [its.fileno(), memory])
            if pid <= 0:
                raise ChildProcessError
            channel.setblocking(False)
            return Child(pid, channel, mmap.mmap(memory, 0), limits)
        except BaseException:
            channel.close()
            raise
        finally:
            its.close()
            os.close(memory)

    async def ended_by(self, pid: int) -> int | None:
        """The signal that ended a child that has been killed, 0 where none did. None: it is none of this server's, or
        the server is lost as well.
        """
        try:
            ended_by = await self._command(pid, [])
        except OSError:
            return None
        return None if ended_by < 0 else ended_by

    def close(self) -> None:
        """Ends the server, not its children."""
        self.control.close()
        self.process.kill()
        self.process.wait()

    async def _command(self, command: int, descriptors: list[int]) -> int:
        async with self.lock:
            socket.send_fds(self.control, [COMMAND.pack(command)], descriptors)
            return await self._reply(_REPLY_SECONDS)

    async def _reply(self, seconds: float) -> int:
        async with asyncio.timeout(seconds):
            reply = await asyncio.get_running_loop().sock_recv(self.control, REPLY.size)
        if len(reply) != REPLY.size:
            raise ConnectionResetError
        number: int = REPLY.unpack(reply)[0]
        return number


def _memory(size: int) -> int:
    """The descriptor of a block of memory that has no name and, where the kernel can seal it, never shrinks.

    A process that made the block shorter would otherwise end the service, which reads it, by SIGBUS.
    """
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile() as file:
            file.truncate(size)
            return os.dup(file.fileno())
    memory = os.memfd_create("picture", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, size)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return memory
