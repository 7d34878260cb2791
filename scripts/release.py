"""Makes a release: wheel and sdist, built twice and compared, tried in an empty environment; its SBOM and licences.

PyPI is asked for advisories against what the wheel brings.

The SBOM lists what the wheel brings when it is installed under constraints.txt, in CycloneDX's format.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import terminal
from containers.requests import smoke
from service.process import serving

from model.reports.markdown import table

ROOT = Path(__file__).parent.parent
PERMISSIVE = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "LLVM-exception", "MIT", "MIT-0",
    "MIT-CMU", "PSF-2.0", "Zlib",
}  # fmt: skip
WEAK_COPYLEFT = {"LGPL-3.0-only", "MPL-2.0"}
"""They bind who changes the library itself, not who imports it."""
NAMES = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "BSD": "BSD-3-Clause",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL-3.0-only",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""What packages say that do not use SPDX's names."""


def build(out: Path) -> list[Path]:
    """The sdist and the wheel of this checkout. Raises ValueError where a second build gives other bytes."""
    with TemporaryDirectory() as again:
        for folder in (out, Path(again)):
            subprocess.run(
                [sys.executable, "-m", "hatchling", "build", "--directory", folder],
                cwd=ROOT,
                check=True,
                capture_output=True,
            )
        files = sorted(path for path in out.glob("facepair-*") if path.suffix in (".whl", ".gz"))
        for path in files:
            if _sha256(path) != _sha256(Path(again) / path.name):
                raise ValueError(f"{path.name} is not the same twice")
    return files


def install(wheel: Path, folder: Path) -> Path:
    """An empty environment with the wheel in it. Returns its Python."""
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt"]
    subprocess.run([*pip, f"{wheel.resolve()}[postgres]"], cwd=folder, check=True)
    return python


def try_out(python: Path) -> None:
    """Serves from that environment, with the bundles inside the wheel. Raises ValueError where an answer is wrong."""
    with (
        serving((str(python), "-I", "-m", "app")) as running,
        httpx.Client(base_url=running.address, timeout=60) as client,
    ):
        wrong = smoke(client)
    if wrong:
        raise ValueError(f"wrong answers: {', '.join(wrong)}")


def sbom(python: Path, out: Path) -> dict[str, Any]:
    """Writes sbom.json, of what is installed there."""
    path = out / "sbom.json"
    command: list[str | Path] = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"]
    command += ["--output-file", path]
    subprocess.run([*command, "--pyproject", ROOT / "pyproject.toml", python], check=True)
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def licences(bill: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name, version and licence of each package in an SBOM, by name."""
    for component in sorted(bill["components"], key=lambda component: str(component["name"]).lower()):
        said = [entry.get("expression") or _name(entry["license"]) for entry in component.get("licenses", [])]
        yield component["name"], component["version"], " AND ".join(dict.fromkeys(said)) or "unknown"


def advisories(python: Path) -> list[dict[str, Any]]:
    """What PyPI's advisories say of each package installed there. Raises ConnectionError where PyPI does not answer."""
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip()
    command = [sys.executable, "-m", "pip_audit", "--path", packages, "--format", "json", "--progress-spinner", "off"]
    audited = subprocess.run(command, check=False, capture_output=True, text=True)
    if not audited.stdout:
        raise ConnectionError(audited.stderr.strip().splitlines()[-1])
    said: list[dict[str, Any]] = json.loads(audited.stdout)["dependencies"]
    return said


def vulnerable(said: Sequence[dict[str, Any]]) -> list[str]:
    """The packages with an advisory against the installed version, with the advisories' names."""
    return [
        f"{package['name']} {package['version']} ({', '.join(advisory['id'] for advisory in package['vulns'])})"
        for package in said
        if package.get("vulns")
    ]


def unchecked(said: Sequence[dict[str, Any]]) -> list[str]:
    """The packages that PyPI said nothing of: behind a mirror that carries no advisories, all of them."""
    return [package["name"] for package in said if "vulns" not in package]


def incompatible(licence: str) -> bool:
    """Whether a part of an SPDX expression is neither permissive nor weak copyleft."""
    words = licence.replace("(", " ").replace(")", " ").split()
    return not {word for word in words if word not in ("AND", "OR", "WITH")} <= PERMISSIVE | WEAK_COPYLEFT


def _name(licence: dict[str, str]) -> str:
    said = licence.get("id") or licence.get("name", "").removeprefix("License :: OSI Approved :: ")
    return NAMES.get(said, said)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("dist"), help="folder for the files (default: dist)")
    out = parser.parse_args().out
    files = build(out)
    for path in files:
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, sha256 {_sha256(path)}, the same twice")
    with TemporaryDirectory() as folder:
        python = install(next(path for path in files if path.suffix == ".whl"), Path(folder))
        try_out(python)
        print("the wheel serves from an empty environment")
        rows = list(licences(sbom(python, out)))
        licence_table = table(["package", "version", "licence"], rows)
        (out / "licences.md").write_text(f"{licence_table}\n", encoding="utf-8")
        said = advisories(python)
    doubtful = [f"{name} ({licence})" for name, _, licence in rows if incompatible(licence)]
    print(f"{len(rows)} packages in {out / 'sbom.json'} and {out / 'licences.md'}")
    print(f"{len(said) - len(unchecked(said))} of {len(said)} packages checked against PyPI's advisories")
    if vulnerable(said):
        raise ValueError(f"known vulnerabilities: {', '.join(vulnerable(said))}")
    if doubtful:
        raise ValueError(f"look at these licences: {', '.join(doubtful)}")


if __name__ == "__main__":
    os.environ.setdefault("SOURCE_DATE_EPOCH", "1577836800")  # 2020-01-01, as hatchling itself does
    with terminal.one_line_errors():
        main()
