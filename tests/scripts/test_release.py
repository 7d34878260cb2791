"""What a release says of the licences of its packages."""

import pytest
import release


def component(name: str, *licenses: dict[str, object]) -> dict[str, object]:
    return {"name": name, "version": "1", "licenses": list(licenses)}


def test_licences_are_read_whatever_packages_call_them() -> None:
    bill = {
        "components": [
            component("b", {"license": {"name": "License :: OSI Approved :: BSD License"}}, {"license": {"id": "MIT"}}),
            component("A", {"expression": "Apache-2.0 OR MIT"}),
            component("c"),
        ]
    }
    rows = [("A", "1", "Apache-2.0 OR MIT"), ("b", "1", "BSD-3-Clause AND MIT"), ("c", "1", "unknown")]
    assert list(release.licences(bill)) == rows


@pytest.mark.parametrize("licence", ["MIT", "(MIT OR Apache-2.0) AND PSF-2.0", "LGPL-3.0-only"])
def test_permissive_licences_and_those_of_libraries_will_do(licence: str) -> None:
    assert not release.incompatible(licence)


@pytest.mark.parametrize("licence", ["unknown", "GPL-3.0-only", "MIT AND AGPL-3.0-or-later"])
def test_others_are_looked_at(licence: str) -> None:
    assert release.incompatible(licence)
