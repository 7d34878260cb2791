from collections.abc import Sequence
from pathlib import Path

import calibrate as script
import makers
import msgspec
import pytest

from model.data.people import DataError, fingerprints_in
from model.evaluation.scoring import unseen_by, who_chose
from model.manifest import DataSource, Manifest

PEOPLE = {f"p{number}": f"fingerprint-{number}" for number in range(30)}


def manifest(trained: Sequence[int] = (), before: Sequence[int] = (), chose: Sequence[int] = ()) -> Manifest:
    made = makers.make_bundle().manifest
    assert made.calibration is not None
    names = [tuple(f"fingerprint-{number}" for number in part) for part in (trained, before, chose)]
    training = msgspec.structs.replace(made.training, data=DataSource("t", "0" * 64, 0, names[0]), seen_before=names[1])
    calibration = msgspec.structs.replace(made.calibration, data=DataSource("c", "0" * 64, 0, names[2]))
    return msgspec.structs.replace(made, training=training, calibration=calibration)


def test_people_whom_any_bundle_has_ever_seen_are_left_out() -> None:
    bundles = [manifest(trained=range(5), before=range(5, 8)), manifest(before=[8])]
    assert unseen_by(bundles, PEOPLE) == [f"p{number}" for number in range(9, 30)]
    with pytest.raises(DataError, match="1 of these 30 people were not in training, nobody to compare"):
        unseen_by([manifest(trained=range(20), before=range(20, 29))], PEOPLE)
    with pytest.raises(DataError, match="1 of these 1 people were not in training"):
        unseen_by([manifest()], {"p0": "fingerprint-0"})


@pytest.mark.parametrize(("others", "kept"), [(0, 25), (2, 25), (8, 25), (9, 9), (20, 20)])
def test_who_chose_thresholds_is_left_out_where_the_others_support_a_level(others: int, kept: int) -> None:
    bundles = [manifest(trained=range(5), chose=range(5, 30 - others))]
    found = unseen_by(bundles, PEOPLE)
    assert found == [f"p{number}" for number in range(30 - kept, 30)]
    chose = who_chose(bundles, {name: PEOPLE[name] for name in found})
    assert len(chose) == (25 - others if kept == 25 else 0)


def test_thresholds_are_not_chosen_on_people_ever_seen(tmp_path: Path) -> None:
    folder = makers.write_people(tmp_path / "people", people=12, pictures=1)
    known = list(fingerprints_in(folder).values())
    made = manifest()
    data = DataSource("t", "0" * 64, 0, tuple(known[:1]))
    training = msgspec.structs.replace(made.training, data=data, seen_before=tuple(known[1:3]))
    found = script.people(folder, msgspec.structs.replace(made, training=training))
    assert found == [f"p{number}" for number in range(4, 13)]
