"""Asks a service about pictures, for the command `facepair`; knows no tensor.

Without an address the service that is asked is made inside this process, from the same settings, and has no socket:
both ways give the same answers.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

SAME, DIFFERENT, ERROR = 0, 1, 2
"""The exit codes. `embed` ends with 0 or 2."""

_INSIDE = "http://127.0.0.1"
_PATIENCE = 60.0  # seconds


class CommandError(Exception):
    """The question cannot be asked or was refused; the message is one line."""


def ask(options: argparse.Namespace) -> int:
    """Prints the answer. Returns the command's exit code."""
    try:
        return asyncio.run(_ask(options))
    except (CommandError, OSError, httpx.HTTPError) as error:
        print(f"facepair: {error}", file=sys.stderr)
        return ERROR


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
