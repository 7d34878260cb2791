"""Builds the image, runs it as docker compose does, and asks it from outside: with Docker, or with buildah and runc."""

import argparse
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import terminal
from containers import proxy
from containers.engines import engine
from containers.requests import Load, smoke

KEYLESS = {"FACEPAIR_ALLOW_KEYLESS": "true"}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build the image and show its size")
    build.add_argument("--target", choices=("cpu", "cuda"), default="cpu")
    build.add_argument("arguments", nargs="*", help="more for the engine, after --")
    commands.add_parser("try", help="run the image and ask it for everything that a user sees first")
    scale = commands.add_parser(
        "scale", help="two replicas behind nginx with TLS: one is killed, one drained, under load"
    )
    scale.add_argument("--seconds", type=terminal.positive, default=10, help="of load before, between and after")
    return parser.parse_args()


def build(target: str, arguments: list[str]) -> None:
    with engine() as builder:
        print(f"facepair, {target}: {builder.build(target, arguments) / 1e6:.0f} MB")


def try_out() -> None:
    """Raises ValueError where an answer is wrong."""
    with engine() as runner, runner.run(1, KEYLESS) as container:
        print(f"ready after {container.wait_until_ready():.1f} s at {container.address}")
        with httpx.Client(base_url=container.address, timeout=30) as client:
            wrong = smoke(client)
        started = time.monotonic()
        container.stop()
        print(f"told to end, it ended after {time.monotonic() - started:.1f} s")
    if wrong:
        raise ValueError(f"wrong answers: {', '.join(wrong)}")
    print("every answer is right")


def scale(seconds: int) -> None:
    """Raises ValueError where a request failed."""
    with engine() as runner, ExitStack() as stack, runner.run(1, KEYLESS) as first:
        replaced = stack.enter_context(ExitStack())
        second = replaced.enter_context(runner.run(2, KEYLESS))
        for replica in (first, second):
            replica.wait_until_ready()
        folder = Path(stack.enter_context(TemporaryDirectory()))
        address, trust = stack.enter_context(proxy.nginx(folder, [first.address, second.address]))
        load = Load(address, trust)
        load.start()
        time.sleep(seconds)
        print("replica 2 is killed")
        second.kill()
        replaced.close()
        time.sleep(seconds)
        print("replica 2 is started again")
        stack.enter_context(runner.run(2, KEYLESS)).wait_until_ready()
        time.sleep(seconds)
        print("replica 1 is told to end")
        first.stop()
        time.sleep(seconds)
        answers = load.end()
    for answer, count in answers.most_common():
        print(f"{count:7,} {answer}")
    if answers.keys() - {"200"}:
        raise ValueError("some requests failed")


def main() -> None:
    options = parse()
    if options.command == "build":
        build(options.target, options.arguments)
    elif options.command == "try":
        try_out()
    else:
        scale(options.seconds)


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
