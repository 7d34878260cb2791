"""Runs scripts as a user would, in this process or in one of their own."""

import io
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import warm

ROOT = Path(__file__).parent.parent


def script(name: str, *arguments: object, status: int = 0) -> str:
    """What the script prints, both streams; it must end with this status. In this process, which has torch loaded."""
    printed, ended = io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(printed):
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        patch.chdir(ROOT)
        try:
            runpy.run_path(str(ROOT / "scripts" / name), run_name="__main__")
        except SystemExit as end:
            ended = end.code if isinstance(end.code, int) else int(bool(end.code))
            printed.write(f"{end.code}\n" if isinstance(end.code, str) else "")
    assert ended == status, printed.getvalue()
    return printed.getvalue()


def process(name: str, *arguments: object) -> str:
    """The same in a process of its own."""
    command = [sys.executable, str(ROOT / "scripts" / name), *map(str, arguments)]
    with warm.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT) as started:
        printed, _ = started.communicate()
    assert started.returncode == 0, printed
    return printed
