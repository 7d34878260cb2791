"""What a release says of its packages: their licences, and the advisories against them."""

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


def test_advisories_name_the_package_and_what_was_not_checked_is_not_called_safe() -> None:
    said: list[dict[str, object]] = [
        {"name": "good", "version": "1", "vulns": []},
        {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-1"}, {"id": "PYSEC-2"}]},
        {"name": "private", "skip_reason": "Dependency not found on PyPI"},
    ]
    assert release.vulnerable(said) == ["bad 2 (PYSEC-1, PYSEC-2)"]
    assert release.unchecked(said) == ["private"]
