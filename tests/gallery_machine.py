"""Random changes of a gallery, through two replicas, against a plain Python model of what it promises."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

import numpy as np
from galleries import CONTRACT, Galleries, photo, vector
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.gallery import audit
from app.gallery.gallery import Gallery
from app.gallery.records import GalleryFull, GalleryUnavailable, Limits, PersonNotFound, PhotoNotFound, Profile
from model.embedding.embedder import distances

LIMITS = Limits(people=4, photos=3)
PEOPLE = st.sampled_from(["a", "b", "B", "a-1", "c", "d"])


@dataclass
class Known:
    """What the model holds of a person."""

    name: str | None = None
    until: datetime | None = None
    photos: dict[str, int] = field(default_factory=dict)


class GalleryMachine(RuleBasedStateMachine):
    """Each run has a gallery of its own, in a new database."""

    new_url: ClassVar[Callable[[], str]]

    @initialize()
    def start(self) -> None:
        self.galleries = Galleries(type(self).new_url())
        self.replicas = [self.galleries.open(limits=LIMITS), self.galleries.open(limits=LIMITS)]
        self.turns = itertools.cycle((0, 1))
        self.people: dict[str, Known] = {}
        self.erased = 0

    @property
    def gallery(self) -> Gallery:
        return self.replicas[next(self.turns)]

    def alive(self, person_id: str) -> bool:
        known = self.people.get(person_id)
        return known is not None and (known.until is None or known.until > self.galleries.now)

    def over(self, person_id: str) -> bool:
        """Expired, and not yet erased: the id is not free before that."""
        return person_id in self.people and not self.alive(person_id)

    def full(self, person_id: str) -> bool:
        return person_id not in self.people and len(self.people) >= LIMITS.people

    @rule(person=PEOPLE, name=st.sampled_from([None, "x", "y"]), hours=st.sampled_from([None, None, 1, 5]))
    def put(self, person: str, name: str | None, hours: int | None) -> None:
        until = None if hours is None else self.galleries.now + timedelta(hours=hours)
        try:
            _, made = self.gallery.register.put(person, Profile(name), until, "anna")
        except GalleryFull:
            assert self.full(person)
            return
        except GalleryUnavailable:
            assert self.over(person)
            return
        assert made == (not self.alive(person))
        photos = self.people[person].photos if self.alive(person) else {}
        self.people[person] = Known(name, until, photos)

    @rule(person=PEOPLE, seeds=st.lists(st.integers(0, 6), min_size=1, max_size=3, unique=True))
    def enrol(self, person: str, seeds: list[int]) -> None:
        before = self.people[person] if self.alive(person) else Known()
        photos = before.photos | {f"ph_{seed}": seed for seed in seeds}
        try:
            new = [photo(f"ph_{seed}", vector(seed)) for seed in seeds]
            self.gallery.register.enrol(person, new, CONTRACT, "anna", "enrolled")
        except GalleryFull:
            assert len(photos) > LIMITS.photos or self.full(person)
            return
        except GalleryUnavailable:
            assert self.over(person)
            return
        assert len(photos) <= LIMITS.photos
        self.people[person] = Known(before.name, before.until, photos)

    @rule(person=PEOPLE)
    def erase(self, person: str) -> None:
        try:
            receipt = self.gallery.register.erase(person, "anna")
        except PersonNotFound:
            assert not self.alive(person)
            return
        assert receipt.photos_erased == len(self.people.pop(person).photos)

    @rule(person=PEOPLE, seed=st.integers(0, 6))
    def erase_photo(self, person: str, seed: int) -> None:
        try:
            self.gallery.register.erase_photo(person, f"ph_{seed}", "anna")
        except PersonNotFound:
            assert not self.alive(person)
        except PhotoNotFound:
            assert f"ph_{seed}" not in self.people[person].photos
        else:
            del self.people[person].photos[f"ph_{seed}"]

    @rule(hours=st.sampled_from([-3, 1, 2]))
    def let_time_pass(self, hours: int) -> None:
        self.galleries.wait(hours=hours)

    @rule()
    def erase_expired(self) -> None:
        gone = {receipt.person_id for receipt in self.gallery.register.erase_expired()}
        assert gone == {person for person in self.people if not self.alive(person)}
        self.people = {person: known for person, known in self.people.items() if person not in gone}

    @rule()
    def restart(self) -> None:
        self.galleries.close()
        self.replicas[:] = [self.galleries.open(limits=LIMITS), self.galleries.open(limits=LIMITS)]

    @precondition(lambda self: hasattr(self, "people"))
    @invariant()
    def both_replicas_know_what_the_model_knows(self) -> None:
        alive = {person: known for person, known in self.people.items() if self.alive(person)}
        for gallery in self.replicas:
            page = gallery.register.people(100).people
            assert [(p.person_id, p.profile, p.expires_at) for p in page] == [
                (person, Profile(known.name), known.until) for person, known in sorted(alive.items())
            ]
            self._compare_search(gallery, alive)

    def _compare_search(self, gallery: Gallery, alive: dict[str, Known]) -> None:
        query = vector(99)
        found = gallery.index.search(query, 10).matches
        expected = {
            person: min(float(distances(vector(seed), query)) for seed in known.photos.values())
            for person, known in alive.items()
            if known.photos
        }
        assert {match.person_id: match.distance for match in found} == expected
        assert np.all(np.diff([match.distance for match in found]) >= 0)
        assert all(match.photos == len(alive[match.person_id].photos) for match in found)

    def teardown(self) -> None:
        register = self.replicas[0].register
        register.database.read(lambda connection: list(audit.verify(connection, register.hashes)))
        counts = register.database.read(
            lambda connection: connection.execute("SELECT people, (SELECT COUNT(*) FROM people) FROM gallery")
        )
        assert counts[0][0] == counts[0][1]
        self.galleries.close()


def machine(new_url: Callable[[], str]) -> type[GalleryMachine]:
    """For galleries in these databases."""
    return type("Machine", (GalleryMachine,), {"new_url": staticmethod(new_url)})
