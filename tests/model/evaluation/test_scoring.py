from collections.abc import Sequence
from pathlib import Path

import calibrate as script
import makers
import msgspec
import pytest

from model.data.people import DataError, PeopleFolder
from model.evaluation.scoring import unseen_by, who_chose
from model.manifest import DataSource, Manifest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> PeopleFolder:
    """p1 to p30."""
    return PeopleFolder(makers.write_people(tmp_path_factory.mktemp("data") / "people", people=30, pictures=1))


def names(numbers: Sequence[int]) -> list[str]:
    return [f"p{number}" for number in numbers]


def manifest(
    folder: PeopleFolder, trained: Sequence[int] = (), before: Sequence[int] = (), chose: Sequence[int] = ()
) -> Manifest:
    made = makers.make_bundle().manifest
    assert made.calibration is not None
    entries = [
        tuple(folder.fingerprint(name).recorded for name in names(numbers)) for numbers in (trained, before, chose)
    ]
    data = DataSource("t", "0" * 64, 0, entries[0])
    training = msgspec.structs.replace(made.training, data=data, seen_before=entries[1])
    calibration = msgspec.structs.replace(made.calibration, data=DataSource("c", "0" * 64, 0, entries[2]))
    return msgspec.structs.replace(made, training=training, calibration=calibration)


def test_people_whom_any_bundle_has_ever_seen_are_left_out(folder: PeopleFolder, tmp_path: Path) -> None:
    bundles = [manifest(folder, trained=range(1, 6), before=range(6, 9)), manifest(folder, before=[9])]
    assert unseen_by(bundles, folder) == names(range(10, 31))
    with pytest.raises(DataError, match="1 of these 30 people were not in training, nobody to compare"):
        unseen_by([manifest(folder, trained=range(1, 21), before=range(21, 30))], folder)
    alone = PeopleFolder(makers.write_people(tmp_path / "alone", people=1, pictures=1))
    with pytest.raises(DataError, match="1 of these 1 people were not in training"):
        unseen_by([manifest(folder)], alone)


@pytest.mark.parametrize(("others", "kept"), [(0, 25), (2, 25), (8, 25), (9, 9), (20, 20)])
def test_who_chose_thresholds_is_left_out_where_the_others_support_a_level(
    folder: PeopleFolder, others: int, kept: int
) -> None:
    bundles = [manifest(folder, trained=range(1, 6), chose=range(6, 31 - others))]
    found = unseen_by(bundles, folder)
    assert found == names(range(31 - kept, 31))
    assert len(who_chose(bundles, folder, found)) == (25 - others if kept == 25 else 0)


def test_thresholds_are_not_chosen_on_people_ever_seen(folder: PeopleFolder) -> None:
    assert script.people(folder, manifest(folder, trained=[1], before=[2, 3])) == names(range(4, 31))
    assert script.people(folder, manifest(folder, chose=[7, 9]), same=True) == {"p7", "p9"}
