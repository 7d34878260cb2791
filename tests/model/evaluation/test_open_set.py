"""Rates of open-set identification, against searches and comparisons that are counted one by one."""

from collections import Counter
from dataclasses import replace

import makers
import msgspec
import numpy as np
import pytest
from makers import EMBEDDED_PEOPLE as PEOPLE
from makers import embedded_people as people
from numpy.typing import NDArray

from model.decision import Policy
from model.embedding.embedder import distances
from model.evaluation.calibration import calibrate
from model.evaluation.identification import Searches, search
from model.evaluation.open_set import LEVELS, at_point, gallery_rates, person_verification
from model.manifest import Calibration
from model.reports import identification as report
from model.search import SearchPoint, SearchPolicy

DATA = msgspec.structs.replace(makers.CALIBRATION_DATA, people=tuple(f"{i:012x}" for i in range(200)))


def calibration() -> Calibration:
    return calibrate(makers.simulated_scores(people=200), DATA)


def drawn(seed: int, count: int = 400) -> Searches:
    """Searches whose distances are drawn: half by strangers, each person twice in each of four galleries."""
    rng = np.random.default_rng(seed)
    own = np.where(np.arange(count) % 2 == 0, np.inf, rng.uniform(0.2, 1.2, count))
    other, second = np.sort(rng.uniform(0.4, 1.4, (count, 2)), axis=1).T
    return Searches(50, 1, np.arange(count) % (count // 4), np.arange(count) // (count // 4), own, other, second)


def judged(searches: Searches, point: SearchPoint) -> tuple[Counter[str], Counter[str]]:
    """Outcomes of strangers and of enrolled people, by the service's own rule for one search."""
    strangers: Counter[str] = Counter()
    enrolled: Counter[str] = Counter()
    for own, other, second in zip(searches.own, searches.other, searches.second, strict=True):
        outcome = point.outcome(sorted([own, other, second] if np.isfinite(own) else [other, second]))
        if not np.isfinite(own):
            strangers[outcome] += 1
        else:
            enrolled[outcome if outcome != "known" else "right" if own <= other else "wrong"] += 1
            enrolled["missed"] += own > point.threshold
    return strangers, enrolled


@pytest.mark.parametrize("seed", range(3))
def test_each_search_is_decided_as_the_service_decides_it(seed: int) -> None:
    searches = drawn(seed)
    point = SearchPoint(0.1, (0, 1), 0, (0, 1), 0.7, 0.1, 50, 50, "union_bound")
    strangers, enrolled = judged(searches, point)
    rates = at_point(searches, point)
    half = len(searches.own) // 2
    assert rates.fpir.value == pytest.approx((strangers["known"] + strangers["ambiguous"]) / half)
    assert rates.known_strangers.value == pytest.approx(strangers["known"] / half)
    assert rates.fnir.value == pytest.approx(enrolled["missed"] / half)
    assert rates.known.value == pytest.approx(enrolled["right"] / half)
    assert rates.wrong_names.value == pytest.approx(enrolled["wrong"] / half)
    assert rates.ambiguous.value == pytest.approx(enrolled["ambiguous"] / half)
    for rate in (rates.fpir, rates.fnir, rates.known, rates.wrong_names, rates.ambiguous):
        assert 0 <= rate.ci95[0] <= rate.value <= rate.ci95[1] <= 1


def test_a_rate_that_never_happens_has_an_upper_end_by_the_number_of_people() -> None:
    searches = drawn(0)
    never = at_point(
        replace(searches, other=searches.other + 9, second=searches.second + 9),
        SearchPoint(0.1, (0, 1), 0, (0, 1), 0.7, 0.1, 50, 50, "union_bound"),
    )
    assert (never.fpir.value, never.wrong_names.value) == (0, 0)
    assert never.fpir.ci95[1] >= 3 / 100


def test_the_curve_gives_the_fnir_where_so_many_strangers_are_named() -> None:
    rates = gallery_rates(drawn(1), SearchPolicy(calibration()))
    searches = drawn(1)
    strangers, mated = searches.other[~searches.mated], searches.own[searches.mated]
    assert [at.fpir for at in rates.curve] == [0.1, 0.178, 0.316, 0.562]  # fifty people: no finer than three of them
    for at in rates.curve:
        threshold = sorted(strangers)[int(at.fpir * len(strangers)) - 1]
        assert (strangers <= threshold).mean() <= at.fpir
        assert at.fnir.value == pytest.approx((mated > threshold).mean())
    assert {level.point.fpir for level in rates.levels} <= set(LEVELS)


def test_everybody_enrolled_is_half_the_evidence_of_as_many_strangers() -> None:
    embeddings, labels = people()
    point = SearchPoint(0.1, (0, 1), 0, (0, 1), 0.9, 0.1, PEOPLE, PEOPLE, "union_bound")
    among_all = search(embeddings, labels, PEOPLE, 1)
    apart = replace(among_all, people=PEOPLE)  # as if they were others than those who are enrolled
    (low, high), (narrow_low, narrow_high) = (at_point(each, point).fpir.ci95 for each in (among_all, apart))
    assert low < narrow_low < narrow_high < high


@pytest.mark.parametrize("photos", [2, 3])
def test_a_person_is_verified_by_the_nearest_of_their_photos(photos: int) -> None:
    embeddings, labels = people(spread=0.9)
    policy = Policy(makers.make_bundle("simulated", calibration=calibration()).manifest)
    rng = np.random.default_rng(photos)
    pictures = [rng.permutation(np.flatnonzero(labels == person)) for person in range(PEOPLE)]
    nearest: dict[bool, list[float]] = {True: [], False: []}
    for person, mine in enumerate(pictures):
        probe = embeddings[mine[photos] if len(mine) > photos else mine[0]]
        for other, theirs in enumerate(pictures):
            if len(theirs) > photos:
                nearest[person == other].append(closest(probe, embeddings[theirs[:photos]]))
    measured = list(person_verification(policy, embeddings, labels, photos))
    assert measured
    for rates in measured:
        assert rates.threshold == policy.operating_point(rates.level, photos).threshold
        assert rates.fmr.value == pytest.approx(np.mean([d <= rates.threshold for d in nearest[False]]))
        assert rates.fnmr.value == pytest.approx(np.mean([d > rates.threshold for d in nearest[True]]))
        assert (rates.impostor_comparisons, rates.genuine_comparisons) == (len(nearest[False]), len(nearest[True]))
        assert rates.fmr.ci95[0] <= rates.fmr.value <= rates.fmr.ci95[1]


def closest(probe: NDArray[np.float32], photos: NDArray[np.float32]) -> float:
    return min(float(distances(probe, photo)) for photo in photos)


def test_what_is_higher_than_promised_is_told_from_chance() -> None:
    searches = drawn(2)
    point = SearchPoint(0.1, (0, 0.3), 0, (0, 1), 0.7, 0.1, 50, 50, "union_bound")
    at = at_point(searches, point)
    assert at.fpir.value > 0.3
    told = {
        end: report._as_promised(replace(at, point=replace(point, fpir_ci95=(0, end))))
        for end in (at.fpir.value, at.fpir.ci95[0], at.fpir.ci95[0] - 1e-6)
    }
    assert list(told.values()) == ["yes", "higher, within chance", "no: higher"]
