import itertools
from pathlib import Path

import makers
import numpy as np
import pytest
from scipy import stats

from model.data.dataset import Dataset, Skipped, load
from model.data.people import DataError, Fingerprint, PeopleFolder
from model.error_rates.scores import Scores
from model.evaluation.acquisition import acquisition
from model.evaluation.breakdown import by_group, fnmr_by_person, groups_in, taken_for_others_most, told_apart_most
from model.faces.face import Quality
from model.faces.finder import WholePicture
from model.training.tutorial import TUTORIAL_CROP

SCORES = makers.simulated_scores(people=30, pictures=3)
PEOPLE = [f"p{i}" for i in range(30)]
THRESHOLD = 0.15


def test_the_worst_are_those_with_the_most_errors() -> None:
    apart = dict.fromkeys(PEOPLE, 0)
    taken = dict.fromkeys(PEOPLE, 0)
    for distance, genuine, one, other in zip(SCORES.distance, SCORES.genuine, SCORES.first, SCORES.second, strict=True):
        if genuine and distance > THRESHOLD:
            apart[PEOPLE[one]] += 1
        if not genuine and distance <= THRESHOLD:
            taken[PEOPLE[one]] += 1
            taken[PEOPLE[other]] += 1
    for found, counted, pairs in (
        (told_apart_most(SCORES, PEOPLE, THRESHOLD), apart, 3),
        (taken_for_others_most(SCORES, PEOPLE, THRESHOLD), taken, 3 * 87),
    ):
        assert [each.errors for each in found] == sorted(counted.values(), reverse=True)[: len(found)]
        assert all(each.errors == counted[each.person] > 0 and each.pairs == pairs for each in found)
    assert told_apart_most(SCORES, PEOPLE, 100.0) == ()


def test_every_person_counts_once_in_the_mean_over_people() -> None:
    own = [SCORES.distance[SCORES.genuine & (SCORES.first == person)] > THRESHOLD for person in range(30)]
    rates = [rejected.mean() for rejected in own]
    found = fnmr_by_person(SCORES, PEOPLE, THRESHOLD)
    expected = stats.ttest_1samp(rates, 0).confidence_interval(0.95)
    assert (found.value, *found.ci95) == pytest.approx((np.mean(rates), expected.low, expected.high))
    many = np.repeat(np.arange(len(SCORES.distance)), np.where(SCORES.genuine & (SCORES.first == 0), 9, 1))
    again = Scores(*(values[many] for values in vars(SCORES).values() if isinstance(values, np.ndarray)))
    assert fnmr_by_person(again, PEOPLE, THRESHOLD) == found


def test_groups_are_measured_on_their_own_pairs_or_not_at_all() -> None:
    groups = {person: "few" if number < 5 else "many" for number, person in enumerate(PEOPLE)} | {"gone": "empty"}
    empty, few, many = by_group(SCORES, PEOPLE, groups, THRESHOLD, level=0.1)
    assert (empty.people, few.people, many.people) == (0, 5, 25)
    assert few.reason == "5 people, so 10 pairs of people; 30 or more are needed"
    assert (few.fmr, empty.fmr) == (None, None)
    inside = (SCORES.first >= 5) & (SCORES.second >= 5)
    accepted = SCORES.distance <= THRESHOLD
    assert many.fmr is not None
    assert many.fnmr is not None
    assert many.fmr[0] == pytest.approx(np.mean(accepted[inside & ~SCORES.genuine]))
    assert many.fnmr[0] == pytest.approx(np.mean(~accepted[inside & SCORES.genuine]))
    assert many.fmr[1] <= many.fmr[0] <= many.fmr[2]


def test_a_list_of_groups_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_text("p1,women\np2, men\n", encoding="utf-8")
    assert groups_in(path, PEOPLE) == ({"p1": "women", "p2": "men"}, [])
    for content in ("p1;women\n", "p1,women,old\n", "p1\n"):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match="person,group"):
            groups_in(path, PEOPLE)


def test_a_list_of_groups_may_come_from_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    for head in ("", "person,group\r\n", "Person, Group\r\n", "\r\n"):
        path.write_text(f"{head}p0,women\r\n\r\np1,men\r\n,\r\n", encoding="utf-8-sig", newline="")
        assert groups_in(path, PEOPLE) == ({"p0": "women", "p1": "men"}, [])


def test_names_that_nobody_bears_are_told_and_make_no_group(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_text("name,sex\np1,women\np99,men\n", encoding="utf-8")
    assert groups_in(path, PEOPLE) == ({"p1": "women"}, ["name", "p99"])
    path.write_text("p98,men\np99,men\n", encoding="utf-8")
    with pytest.raises(DataError, match="names nobody of these 30 people"):
        groups_in(path, PEOPLE)


def test_failures_to_acquire_count_in_generalised_rates() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    lost = (Skipped(Path("d/a/4.png"), "NoFaceFound"), Skipped(Path("d/b/3.png"), "CorruptImage"))
    dataset = Dataset(
        "d", ("a", "b"), (Fingerprint("x", ()), Fingerprint("y", ())), np.zeros((5, 1, 2, 2), np.uint8), labels,
        ("f",) * 5,
        (Quality(90, 0.5, 0.5, 0.0),) * 5, (*lost, Skipped(Path("d/c"), "TooFewPictures")),
    )  # fmt: skip
    found = acquisition(dataset)
    everything = "aaaabbb"
    genuine = sum(one == other for one, other in itertools.combinations(everything, 2))
    assert (found.pictures, found.failures) == (7, 2)
    assert (found.genuine_pairs, found.impostor_pairs) == (genuine, 21 - genuine)
    assert found.failure_ci95[0] < 2 / 7 < found.failure_ci95[1]
    # Of 4 genuine pairs with crops 1 is rejected, and the 5 without are as well.
    assert found.generalised_fnmr(0.25, 4) == pytest.approx((1 + genuine - 4) / genuine)
    assert found.generalised_fmr(0.5, 6) == pytest.approx(3 / found.impostor_pairs)


def test_people_whose_every_picture_fails_count_as_well_and_files_that_are_no_pictures_do_not(tmp_path: Path) -> None:
    folder = makers.write_people(tmp_path / "people", people=5, pictures=3)
    for person in range(5):
        (folder / f"lost{person}").mkdir()
        (folder / f"lost{person}" / "blank.pgm").write_bytes(b"P5 broken")
    for name in ("p1", "lost1"):
        (folder / name / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
        (folder / name / "notes.txt").write_text("hello")
    found = acquisition(load(PeopleFolder(folder), WholePicture(TUTORIAL_CROP)))
    assert (found.failures, found.pictures) == (5, 20)
    assert (found.genuine_pairs, found.impostor_pairs) == (5 * 3, 20 * 19 // 2 - 15)
    assert (found.lost_people, found.other_files) == (5, 4)


def test_people_without_an_error_do_not_prove_that_there_is_none() -> None:
    for threshold, value, ends in ((100.0, 0, (0, 3 / 30)), (-1.0, 1, (1 - 3 / 30, 1))):
        found = fnmr_by_person(SCORES, PEOPLE, threshold)
        assert (found.value, *found.ci95) == pytest.approx((value, *ends))
