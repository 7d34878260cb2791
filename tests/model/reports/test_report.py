"""What a report says of an evaluation, and what it must not say; figures are made up or counted anew."""

from dataclasses import replace
from pathlib import Path

import makers
import numpy as np
import pytest

from model.data.dataset import load
from model.data.people import PeopleFolder
from model.embedding.embedder import Embedder
from model.error_rates.intervals import Estimate
from model.error_rates.scores import Scores
from model.evaluation.breakdown import GroupRates
from model.evaluation.evaluation import Evaluation, RatesAtThreshold, evaluate
from model.evaluation.scoring import score_all_pairs
from model.manifest import Calibration
from model.reports import report, sections


@pytest.fixture(scope="module")
def calibration(embedder: Embedder) -> Calibration:
    found = embedder.manifest.calibration
    assert found is not None
    return found


@pytest.fixture(scope="module")
def evaluation(embedder: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    folder = makers.write_people(tmp_path_factory.mktemp("data") / "people", people=9, pictures=4)
    dataset = load(PeopleFolder(folder), embedder.faces)
    groups = {f"p{person + 1}": "all" for person in range(9)}
    return evaluate(embedder.manifest, dataset, score_all_pairs(embedder, dataset), groups=groups)


def with_rate(evaluation: Evaluation, fmr: Estimate, fnmr: Estimate) -> Evaluation:
    """The same with these rates at the first of the bundle's thresholds."""
    first, *others = evaluation.rates
    return replace(evaluation, rates=(RatesAtThreshold(first.level, first.threshold, fmr, fnmr), *others))


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.131, 0.2), "no: higher than asked for"),
        ((0.1, 0.2), "yes"),
        ((0.05, 0.1), "yes"),
        ((0.01, 0.09), "lower than asked for"),
    ],
)
def test_a_level_is_as_promised_where_the_interval_found_holds_it(
    evaluation: Evaluation, calibration: Calibration, interval: tuple[float, float], verdict: str
) -> None:
    assert evaluation.rates[0].level == 0.1
    found = with_rate(evaluation, Estimate(sum(interval) / 2, interval), Estimate(0.5, (0.4, 0.6)))
    row = sections.thresholds(found, calibration).splitlines()[2]
    assert f"| {verdict} |" in row
    same = replace(found, people_that_chose_thresholds=9)
    assert "| same people |" in sections.thresholds(same, calibration).splitlines()[2]


def test_rates_from_few_errors_are_marked_at_the_thresholds(evaluation: Evaluation, calibration: Calibration) -> None:
    impostor, genuine = 36 * 16, 9 * 6
    found = with_rate(evaluation, Estimate(2 / impostor, (0, 0.1)), Estimate(31 / genuine, (0.4, 0.6)))
    assert "| 2, fewer than 30: uncertain; 31 |" in sections.thresholds(found, calibration).splitlines()[2]
    none = with_rate(evaluation, Estimate(0, (0, 0.1)), Estimate(1, (0.9, 1)))
    assert f"| 0 of {impostor}: the rate is at most 0.0052, were they independent; {genuine} |" in sections.thresholds(
        none, calibration
    )


def test_rates_of_groups_from_few_errors_are_marked(evaluation: Evaluation) -> None:
    assert evaluation.group_pairs == {"all": (36 * 16, 9 * 6)}
    group = GroupRates("all", 9, (40 / 576, 0.0, 0.1), (2 / 54, 0.0, 0.1))
    text = sections.groups(replace(evaluation, groups=(group,)))
    assert "(0 to 0.1): 40 |" in text
    assert "(0 to 0.1): 2, fewer than 30: uncertain |" in text


def test_that_those_of_few_pictures_are_told_apart_more_often_is_said_where_it_is_so(
    evaluation: Evaluation, calibration: Calibration
) -> None:
    of_default = next(rate.fnmr.value for rate in evaluation.rates if rate.level == calibration.default_fmr)
    for value, said in ((of_default + 0.01, True), (of_default, False), (of_default - 0.01, False)):
        found = replace(evaluation, fnmr_by_person=Estimate(value, (0, 1)))
        assert ("It is higher than the rate over pairs" in sections.people(found, calibration)) is said
    assert "It is higher" not in sections.people(evaluation, None)


def test_a_perfect_evaluation_of_nine_people_is_not_certain(embedder: Embedder, tmp_path: Path) -> None:
    dataset = load(PeopleFolder(makers.write_people(tmp_path / "people", people=9, pictures=2)), embedder.faces)
    scores = score_all_pairs(embedder, dataset)
    perfect = Scores(np.where(scores.genuine, 0.0, 9.0), scores.genuine, scores.first, scores.second)
    found = evaluate(embedder.manifest, dataset, perfect)
    assert (found.eer.value, *found.eer.ci95) == pytest.approx((0, 0, 3 / 9))
    for figure in (found.auc, found.best_accuracy):
        assert (figure.value, *figure.ci95) == pytest.approx((1, 1 - 3 / 9, 1))
    last = found.fnmr_at[-1].fnmr
    assert (last.value, *last.ci95) == pytest.approx((0, 0, 3 / 9))


def test_lost_people_and_other_files_are_told(embedder: Embedder, tmp_path: Path) -> None:
    folder = makers.write_people(tmp_path / "people", people=9, pictures=2)
    (folder / "lost").mkdir()
    (folder / "lost" / "1.pgm").write_bytes(b"P5 broken")
    (folder / "p1" / "notes.txt").write_text("hello")
    dataset = load(PeopleFolder(folder), embedder.faces)
    found = evaluate(embedder.manifest, dataset, score_all_pairs(embedder, dataset))
    text = report.markdown(embedder.manifest, found, "command")
    assert "In 1 of 19 photos no face could be used" in text
    assert "9 people, 18 pictures (1 skipped)" in text
    assert "Of 1 more people no picture at all could be used" in text
    assert "1 other files are no pictures" in text
