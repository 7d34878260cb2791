"""Asks a service about pictures, for the command `facepair`; knows no tensor.

Without an address the service that is asked is made inside this process, from the same settings, and has no socket:
both ways give the same answers.
"""

import argparse
import asyncio
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from app import answers
from app.answers import CommandError

SAME, DIFFERENT, ERROR = 0, 1, 2
"""The exit codes. `embed` ends with 0 or 2."""

_INSIDE = "http://127.0.0.1"
_PATIENCE = 60.0  # seconds without a byte
_PATIENCE_IN_ALL = 300.0
AS_IT_IS = {"Accept-Encoding": "identity"}  # a compressed answer may be a thousand times as large
_FORESEEN = (CommandError, OSError, ValueError, RecursionError, httpx.HTTPError, httpx.InvalidURL)


def ask(options: argparse.Namespace) -> int:
    """Prints the answer. Returns the command's exit code."""
    try:
        return asyncio.run(_ask(options))
    except _FORESEEN as error:
        print(f"facepair: {answers.one_line(error)}", file=sys.stderr)
    except Exception:  # Python itself would end with 1, which says: different people
        traceback.print_exc()
    return ERROR


async def _ask(options: argparse.Namespace) -> int:
    images = ("image1", "image2") if options.command == "verify" else ("image",)
    files = {name: getattr(options, name).read_bytes() for name in images}
    fields = {"fmr": options.fmr} if getattr(options, "fmr", None) else {}
    async with (
        _service(options.url, options.key_file) as client,
        asyncio.timeout(_PATIENCE_IN_ALL),
        client.stream("POST", f"/{options.command}", files=files, data=fields, headers=AS_IT_IS) as response,
    ):
        body = await _body(response)
    answer, whole = answers.read(response.status_code, body, answers.FORMS[options.command])
    print(whole if options.json else answer)
    return SAME if isinstance(answer, answers.Embedding) or answer.same else DIFFERENT


@asynccontextmanager
async def _service(url: str | None, key_file: Path | None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service at `url`, or of one inside this process. Raises CommandError."""
    if url is not None:
        headers = {"Authorization": f"Bearer {read_key(key_file)}"} if key_file else {}
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


def read_key(file: Path) -> str:
    """Raises CommandError where the file holds anything else: a message about a header would show it."""
    key = file.read_bytes().strip()
    if not key.isascii() or not (text := key.decode()).isprintable():
        raise CommandError(f"{file} holds no key: a line of ASCII")
    return text


async def _body(response: httpx.Response) -> bytes:
    """The bytes as they come, never decompressed. Raises CommandError where there are too many."""
    body = bytearray()
    async for piece in response.aiter_raw():
        answers.take(body, piece)
    return bytes(body)
