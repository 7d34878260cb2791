"""Starts Python programs as copies of a process that has loaded their libraries already: most of a start is loading.

A copy has its own arguments, environment, folder, streams and process id, and ends as any program does. Programs whose
start itself is looked at are started by `subprocess`. Run as a program, this file is the process that is copied.
"""

import atexit
import json
import os
import runpy
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

LOADED = (
    "app.asking",
    "app.cli",
    "app.main",
    "matplotlib.figure",
    "model.engines.on_openvino",
    "scipy.stats",
    "torch",
    "tqdm",
    "uvicorn",
)
_NUMBER = struct.Struct("i")


class Popen(subprocess.Popen[str]):
    """`subprocess.Popen` of a command that begins with `sys.executable`; of its options, the usual ones."""

    def _execute_child(self, args: Any, *options: Any) -> None:
        folder, environment, pipes = options[4], options[5], options[9:15]
        given = dict(environment or os.environ)
        order = json.dumps([args[1:], given, str(folder or Path.cwd())]).encode()
        # Where a stream is not given, the copy has this process's.
        streams = [
            own if pipe == -1 else pipe for pipe, own in zip((pipes[0], pipes[3], pipes[5]), range(3), strict=True)
        ]
        self._keeper, its = socket.socketpair()
        with its:
            socket.send_fds(_original(), [order], [its.fileno(), *streams])
        self.pid = _NUMBER.unpack(self._keeper.recv(_NUMBER.size))[0]
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    def _try_wait(self, flags: int) -> tuple[int, int]:
        """As `os.waitpid` answers."""
        self._keeper.setblocking(not flags & os.WNOHANG)
        try:
            status: int = _NUMBER.unpack(self._keeper.recv(_NUMBER.size))[0]
        except BlockingIOError:
            return 0, 0
        self._keeper.close()
        return self.pid, status

    def _internal_poll(self, *_: object, **__: object) -> int | None:
        if self.returncode is None:
            pid, status = self._try_wait(os.WNOHANG)
            if pid:
                self._handle_exitstatus(status)  # type: ignore[attr-defined]
        return self.returncode


def run(command: list[str], **options: Any) -> "subprocess.CompletedProcess[str]":
    """What `subprocess.run` gives for such a command; both streams are captured."""
    with Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options) as process:
        printed, complained = process.communicate(timeout=300)
    return subprocess.CompletedProcess(command, process.returncode, printed, complained)


@cache
def _original() -> socket.socket:
    """The way to the process that is copied. It ends when this process does."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        its.set_inheritable(True)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        os.posix_spawn(sys.executable, [sys.executable, __file__, str(its.fileno())], environment)
    return ours


def stop() -> None:
    """Ends the process that is copied, if there is one."""
    if _original.cache_info().currsize:
        _original().close()
        _original.cache_clear()


def _serve(control: socket.socket) -> None:
    """Returns in each copy, which then is to become its program."""
    for name in LOADED:
        with suppress(ModuleNotFoundError):  # the fast engine is not everywhere
            import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for keepers
    while True:
        order, descriptors, *_ = socket.recv_fds(control, 2**20, 4)
        if not order:
            os._exit(0)
        if not os.fork():
            break
        for descriptor in descriptors:
            os.close(descriptor)
    control.close()
    _keep(*descriptors)
    _end(partial(_become, *json.loads(order)))


def _keep(reply: int, *streams: int) -> None:
    """Tells the copy's process id, then how it ended; returns only in the copy."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid:
        for stream in (*streams, 0, 1, 2):
            os.close(stream)
        os.write(reply, _NUMBER.pack(pid))
        with socket.socket(fileno=reply) as there:
            there.send(_NUMBER.pack(os.waitpid(pid, 0)[1]), socket.MSG_NOSIGNAL)
        os._exit(0)
    os.close(reply)
    for stream, own in zip(streams, range(3), strict=True):
        os.dup2(stream, own)
        os.close(stream)


def _become(arguments: list[str], environment: dict[str, str], folder: str) -> None:
    """Goes on as the interpreter does with these arguments."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    kind, *rest = arguments
    own = {"-c": "", "-m": folder}.get(kind, str(Path(kind).parent))
    sys.path[:0] = [own, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    if kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(rest[0], {"__name__": "__main__"})  # noqa: S102
    elif kind == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(kind, run_name="__main__")


def _end(program: Callable[[], None]) -> NoReturn:
    """Runs the program and ends as the interpreter does; only what was loaded is not taken down, which takes long."""
    code: object = 0
    try:
        program()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
