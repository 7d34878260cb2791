"""The command `facepair` at a terminal: serves, or asks a service about pictures.

Only what is asked for is imported, since importing is most of a start.
"""

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import shtab


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns its exit code."""
    options = _parser().parse_args(arguments)
    if options.command in (None, "serve"):
        from app.main import serve

        serve()
        return 0
    from app.asking import ask

    return ask(options)


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
