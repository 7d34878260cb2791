"""Fills and tends a gallery: enrols a folder of people, exports, imports, changes the master key, verifies the audit.

`enrol` asks a running service; the other commands work on the database that the settings name (FACEPAIR_GALLERY and
FACEPAIR_GALLERY_KEY_FILE).
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

import httpx
import msgspec
import terminal
from tqdm import tqdm

from app import answers
from app.answers import CommandError
from app.asking import AS_IT_IS, read_key
from app.malformed_json import MALFORMED
from model.data.people import DataError, read_file

AT_ONCE = 10
"""Photos in a request: as many as the service takes."""
_PEOPLE_AT_ONCE = 8
"""Enough to keep the service's cores busy, as other callers would."""


class _Accepted(msgspec.Struct):
    status: Literal["enrolled", "already_enrolled"]


class _Rejected(msgspec.Struct):
    index: Annotated[int, msgspec.Meta(ge=0)]
    code: answers.Word


class _Enrolment(msgspec.Struct, kw_only=True):
    """What became of each picture of a request."""

    accepted: list[_Accepted] = []
    rejected: list[_Rejected]


class _NothingEnrolled(_Enrolment):
    """A problem that says of each picture why."""

    code: Literal["enrolment_rejected"]


def main() -> None:
    options = _parser().parse_args()
    if options.command == "enrol":
        enrol(options.folder, options.url, options.key_file, options.gate)
    else:
        from service.tending import tend  # needs what the service is made of, for which enrolling would wait

        tend(options)


def enrol(folder: Path, url: str, key_file: Path | None, gate: str) -> None:
    """Sends each sub-folder's pictures as one person's. What was enrolled before is not embedded again."""
    people = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not people:
        raise DataError(f"{folder} has no sub-folders of pictures, one for each person")
    headers = {"Authorization": f"Bearer {read_key(key_file)}"} if key_file else {}
    outcomes: Counter[str] = Counter()
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client, ThreadPoolExecutor(_PEOPLE_AT_ONCE) as pool:
        jobs = [pool.submit(_enrol_person, client, person, gate) for person in people]
        try:
            for job in tqdm(as_completed(jobs), total=len(jobs), unit="person", leave=False, disable=None):
                outcomes += job.result()
        finally:
            pool.shutdown(cancel_futures=True)
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    print(f"{len(people)} people: {told or 'no pictures'}")


def _enrol_person(client: httpx.Client, folder: Path, gate: str) -> Counter[str]:
    pictures = sorted(path for path in folder.iterdir() if path.is_file())
    outcomes: Counter[str] = Counter()
    for start in range(0, len(pictures), AT_ONCE):
        outcomes += _enrol(client, folder.name, pictures[start : start + AT_ONCE], gate)
    return outcomes


def _enrol(client: httpx.Client, person_id: str, pictures: Sequence[Path], gate: str) -> Counter[str]:
    files = [("images", read_file(path)) for path in pictures]
    path = f"/people/{quote(os.fsencode(person_id))}/photos"
    try:
        with client.stream("POST", path, files=files, data={"gate": gate}, headers=AS_IT_IS) as response:
            enrolment = _read(response, len(pictures))
    except CommandError as error:
        raise CommandError(f"{person_id}: {error}") from error
    for rejected in enrolment.rejected:
        tqdm.write(f"rejected {answers.printable(str(pictures[rejected.index]))}: {rejected.code}")
    return Counter([photo.status for photo in enrolment.accepted] + ["rejected"] * len(enrolment.rejected))


def _read(response: httpx.Response, pictures: int) -> _Enrolment:
    """Raises CommandError where the answer is another problem, or does not say what became of so many pictures."""
    status, body = response.status_code, bytearray()
    for piece in response.iter_raw():
        answers.take(body, piece)
    enrolment: _Enrolment | None = None
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        with suppress(*MALFORMED):
            enrolment = msgspec.json.decode(body, type=_NothingEnrolled)
    enrolment = enrolment or answers.read(status, bytes(body), _Enrolment, HTTPStatus.CREATED)[0]
    rejected = {photo.index for photo in enrolment.rejected}
    if len(enrolment.accepted) + len(rejected) != pictures or not rejected <= {*range(pictures)}:
        raise answers.not_facepairs("it is about other pictures")
    return enrolment


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    enrolling = commands.add_parser("enrol", help="enrol a folder with one sub-folder of pictures a person")
    enrolling.add_argument("folder", type=Path, help="each sub-folder's name is the person's id")
    enrolling.add_argument("--url", default="http://127.0.0.1:8000", help="the service's address")
    enrolling.add_argument("--key-file", type=Path, help="file of an API key for `enrol`")
    enrolling.add_argument("--gate", choices=["strict", "warn"], default="strict", help="what a faulty photo leads to")
    for name, what in (("export", "write everybody to a file, vectors in the clear"), ("import", "put them back")):
        commands.add_parser(name, help=what).add_argument("file", type=Path, help="a JSON object a line")
    rotating = commands.add_parser("rotate-key", help="seal everybody's key with another master key")
    rotating.add_argument("new_key_file", type=Path, help="32 bytes in hex: openssl rand -hex 32 > FILE")
    commands.add_parser("audit", help="print all entries, and verify their chain")
    return parser


if __name__ == "__main__":
    try:
        with terminal.one_line_errors():
            main()
    except (CommandError, httpx.HTTPError, httpx.InvalidURL) as error:
        sys.exit(f"error: {answers.one_line(error)}")
