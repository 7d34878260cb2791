"""A process that is killed while it writes: what was answered is there, and nothing is half there."""

import os
import random
import signal
import time
from collections.abc import Callable

import pytest
from galleries import Galleries, enrol

from app.gallery import audit

ROUNDS = int(os.environ.get("GALLERY_KILLS", "25"))


def write_until_killed(galleries: Galleries, first: int, answers: int) -> None:
    """Enrols people with two photos each, erases every third, and says so after each answer."""
    gallery = galleries.open()
    for number in range(first, first + 10_000):
        enrol(gallery, f"E{number}", 2 * number, 2 * number + 1)
        os.write(answers, f"+{number}\n".encode())
        if number % 3 == 0:
            gallery.register.erase(f"E{number}", "anna")
            os.write(answers, f"-{number}\n".encode())


def killed_while_writing(galleries: Galleries, first: int, moment: random.Random) -> list[str]:
    """What a process had answered before it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            write_until_killed(galleries, first, writing)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as answers:
        lines = [answers.readline().strip()]
        time.sleep(moment.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        lines += [line.strip() for line in answers]
    assert lines[0], "it wrote nothing"
    return lines


@pytest.mark.slow
def test_what_was_answered_outlives_a_kill(new_url: Callable[[], str]) -> None:
    galleries = Galleries(new_url())
    moment = random.Random(1)  # noqa: S311 - moments, no secrets
    galleries.open()
    there: set[int] = set()
    for kill in range(ROUNDS):
        first = 10_000 * kill
        lines = killed_while_writing(galleries, first, moment)
        for line in lines:
            (there.add if line[0] == "+" else there.discard)(int(line[1:]))
        gallery = Galleries(galleries.url).open()
        found = {int(person.person_id[1:]) for person in gallery.register.people(100_000).people}
        # One change may have been made that was not answered yet.
        assert len(found ^ there) <= 1, (lines[-1], found ^ there)
        assert gallery.index.counts().photos == 2 * len(found)
        assert gallery.index.counts().damaged == ()
        register = gallery.register
        register.database.read(lambda connection: list(audit.verify(connection, register.hashes)))  # noqa: B023
        there = found
        gallery.close()
    galleries.close()
