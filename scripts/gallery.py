"""Fills and tends a gallery: enrols a folder of people, exports, imports, changes the master key, verifies the audit.

`enrol` asks a running service; the other commands work on the database that the settings name (FACEPAIR_GALLERY and
FACEPAIR_GALLERY_KEY_FILE).
"""

import argparse
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from urllib.parse import quote

import httpx
import terminal
from tqdm import tqdm

from model.data.people import DataError

AT_ONCE = 10
"""Photos in a request: as many as the service takes."""
_PEOPLE_AT_ONCE = 8
"""Enough to keep the service's cores busy, as other callers would."""


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
    headers = {"Authorization": f"Bearer {key_file.read_text(encoding='ascii').strip()}"} if key_file else {}
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


def _enrol(client: httpx.Client, person_id: str, pictures: list[Path], gate: str) -> Counter[str]:
    files = [("images", (path.name, path.read_bytes())) for path in pictures]
    response = client.post(f"/people/{quote(person_id)}/photos", files=files, data={"gate": gate})
    answer = response.json()
    if "rejected" not in answer:
        raise DataError(f"{person_id}: {answer['detail']} ({answer['code']})")
    for rejected in answer["rejected"]:
        tqdm.write(f"rejected {pictures[rejected['index']]}: {rejected['code']}")
    return Counter([photo["status"] for photo in answer.get("accepted", [])] + ["rejected"] * len(answer["rejected"]))


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
    except httpx.HTTPError as error:
        sys.exit(f"error: {error}")
