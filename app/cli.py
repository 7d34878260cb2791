"""The command `facepair` at a terminal: serves, or asks a service about pictures; knows no tensor.

Without `--url` the service that is asked is made inside this process, from the same settings, and has no socket:
both ways give the same answers.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import shtab

SAME, DIFFERENT, ERROR = 0, 1, 2
"""The exit codes. `embed` ends with 0 or 2."""

_INSIDE = "http://127.0.0.1"
_PATIENCE = 60.0  # seconds


class CommandError(Exception):
    """The question cannot be asked or was refused; the message is one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns its exit code."""
    options = _parser().parse_args(arguments)
    if options.command in (None, "serve"):
        from app.main import serve

        serve()
        return 0
    try:
        return asyncio.run(_ask(options))
    except (CommandError, OSError, httpx.HTTPError) as error:
        print(f"facepair: {error}", file=sys.stderr)
        return ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("facepair", description="Do two photos show the same person?")
    parser.add_argument("--version", action="version", version=f"facepair {version('facepair')}")
    shtab.add_argument_to(parser, help="print a completion script for this shell")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("serve", help="serve over HTTP until told to stop (the default)")
    asked = argparse.ArgumentParser(add_help=False)
    asked.add_argument("--url", help="ask the service at this address; without it, this process answers")
    asked.add_argument("--key-file", type=Path, metavar="FILE", help="the file with the API key for --url")
    asked.add_argument("--json", action="store_true", help="print the whole answer as JSON")
    verify = commands.add_parser(
        "verify", parents=[asked], help="compare two photos", epilog="Exit code: 0 same, 1 different, 2 error."
    )
    verify.add_argument("image1", type=Path, help="a picture file").complete = shtab.FILE  # type: ignore[attr-defined]
    verify.add_argument("image2", type=Path, help="another").complete = shtab.FILE  # type: ignore[attr-defined]
    verify.add_argument("--fmr", help="the false match rate to decide at (default: the service's)")
    embed = commands.add_parser(
        "embed",
        parents=[asked],
        help="print the embedding of a face",
        epilog="Exit code: 0 or, on error, 2.",
    )
    embed.add_argument("image", type=Path, help="a picture file").complete = shtab.FILE  # type: ignore[attr-defined]
    return parser


async def _ask(options: argparse.Namespace) -> int:
    images = ("image1", "image2") if options.command == "verify" else ("image",)
    files = {name: getattr(options, name).read_bytes() for name in images}
    fields = {"fmr": options.fmr} if getattr(options, "fmr", None) else {}
    async with _service(options.url, options.key_file) as client:
        response = await client.post(f"/{options.command}", files=files, data=fields)
    answer = _answer(response)
    if options.json:
        print(json.dumps(answer))
    else:
        print(_verdict(answer) if options.command == "verify" else " ".join(map(str, answer["embedding"])))
    return SAME if answer.get("same", True) else DIFFERENT


@asynccontextmanager
async def _service(url: str | None, key_file: Path | None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service at `url`, or of one inside this process. Raises CommandError."""
    if url:
        headers = {"Authorization": f"Bearer {key_file.read_text(encoding='utf-8').strip()}"} if key_file else {}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=_PATIENCE) as client:
            yield client
        return
    from app.main import START_ERRORS, start_inside

    try:
        service = start_inside()
    except START_ERRORS as error:
        raise CommandError(str(error)) from error
    async with (
        service.router.lifespan_context(service),
        httpx.AsyncClient(transport=httpx.ASGITransport(service), base_url=_INSIDE, timeout=_PATIENCE) as client,
    ):
        yield client


def _answer(response: httpx.Response) -> dict[str, Any]:
    """The answer's JSON. Raises CommandError where it is a problem, or no answer of Facepair."""
    try:
        answer: dict[str, Any] = response.json()
        if response.is_success:
            return answer
        place = f"{answer['image']}: " if answer.get("image") else ""
        raise CommandError(f"{place}{answer['detail']} ({answer['code']})")
    except (ValueError, KeyError, TypeError):
        raise CommandError(f"the answer is not Facepair's: status {response.status_code}") from None


def _verdict(answer: dict[str, Any]) -> str:
    point = answer["operating_point"]
    lines = [
        f"{'same person' if answer['same'] else 'different people'}: distance {answer['distance']:.4f}, "
        f"threshold {answer['threshold']:.4f} at FMR {point['fmr']:g} (FNMR {point['fnmr']:.2g})"
    ]
    lines += [
        f"{name}: {', '.join(face['warnings']).replace('_', ' ')}"
        for name, face in answer["faces"].items()
        if face["warnings"]
    ]
    return "\n".join(lines)
