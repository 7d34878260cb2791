"""The shape of the code: functions stay small, and importing one starts nothing."""

import ast
import statistics
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for folder in ("app", "model", "scripts") for path in (ROOT / folder).rglob("*.py"))


def functions(path: Path) -> list[tuple[str, int]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [(node.name, (node.end_lineno or 0) - node.lineno + 1) for node in found]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_says_what_it_is_for_and_its_functions_are_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert all(lines <= 40 for _, lines in functions(path)), max(functions(path), key=lambda f: f[1])
    assert ast.get_docstring(ast.parse(text))


def test_the_median_function_is_short() -> None:
    assert statistics.median(lines for path in SOURCES for _, lines in functions(path)) < 10


def test_importing_the_service_reads_and_starts_nothing() -> None:
    code = "import app.main, threading; print(threading.active_count(), 'matplotlib' in __import__('sys').modules)"
    bad = {"FACEPAIR_PORT": "x", "PATH": "/usr/bin"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=bad, cwd=ROOT)
    assert run.stdout.split() == ["1", "False"]


@pytest.mark.parametrize("module", ["model.images", "model.manifest", "model.decision", "model.data.people"])
def test_what_needs_no_network_does_not_wait_for_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'model.bundle' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
def test_a_service_on_openvino_loads_no_torch() -> None:
    code = "import sys, app.main; app.main.start_inside(); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.split() == ["False"]


def test_a_manifest_is_read_without_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from model.manifest import read\n"
        "print(read(Path('model/bundles/default')).name, 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.split() == ["default", "False"]
